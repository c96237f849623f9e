"""One request to several nodes, and which of their replies count (spec/07 §6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import trio

from hyperbeam_trio.commitments import without_unless_signed
from hyperbeam_trio.errors import BadRequest, HyperbeamError, NoViableResponses
from hyperbeam_trio.http.remote import Reply, send
from hyperbeam_trio.http.routing import Target
from hyperbeam_trio.message import Message, Value, as_text

if TYPE_CHECKING:
    from hyperbeam_trio.context import Context

AT_ONCE: Final = 32
"""How many nodes are asked at once for one request, whatever it says."""

PREFIX: Final = "multirequest-"
_KEYS: Final = ("responses", "parallel", "stop-after", "admissible-status", "admissible", "nodes")


@dataclass(frozen=True, slots=True)
class Rules:
    """How several nodes are asked.

    `responses`: how many admissible replies are wanted; `parallel`: how many nodes are asked at
    once; `stop_after`: whether the rest is dropped then; `statuses`: which are admissible, `None`
    for all; `admissible`: a message that has to say `true` of a reply.
    """

    responses: int = 1
    parallel: int = 1
    stop_after: bool = True
    statuses: frozenset[int] | None = None
    admissible: Message | None = None

    def read(self, source: Message, prefix: str = "") -> Rules:
        """These rules, but for those that `source` has under its keys with `prefix`."""

        def given(key: str) -> Value:
            return source.get(prefix + key)

        changes: dict[str, Any] = {}
        if given("responses") is not None:
            changes["responses"] = max(source.int(prefix + "responses"), 1)
        if given("parallel") is not None:
            changes["parallel"] = _parallel(given("parallel"), prefix)
        if given("stop-after") is not None:
            changes["stop_after"] = source.bool(prefix + "stop-after")
        if given("admissible-status") is not None:
            changes["statuses"] = _statuses(given("admissible-status"))
        if given("admissible") is not None:
            changes["admissible"] = source.message(prefix + "admissible")
        return replace(self, **changes) if changes else self


def _parallel(value: Value, prefix: str) -> int:
    text = as_text(value)
    if text in ("true", "false"):
        return AT_ONCE if text == "true" else 1
    if text is None or not text.isdigit() or not int(text):
        raise BadRequest(f"Key {prefix + 'parallel'!r} should be true, false or a number above 0.")
    return min(int(text), AT_ONCE)


def _statuses(value: Value) -> frozenset[int] | None:
    listed = value if isinstance(value, list) else (as_text(value) or "").split(",")
    texts = [item.strip() if isinstance(item, str) else as_text(item) for item in listed]
    if texts == ["All"] or texts == ["all"]:
        return None
    if not all(text is not None and text.isdigit() for text in texts):
        raise BadRequest("Key 'admissible-status' should be All, a status, or several of them.")
    return frozenset(int(text) for text in texts if text is not None)


def without_rules(request: Message) -> Message:
    """The request without its own rules, unless they are signed."""
    return without_unless_signed([PREFIX + key for key in _KEYS], request)


async def send_to_several(
    targets: Sequence[Target], request: Message, rules: Rules, context: Context
) -> Reply | list[Reply]:
    """The admissible replies to a request: one, or a list if the rules want several.

    Nodes are asked in their order. Raises `NoViableResponses` (400) if no reply is admissible; it
    says what became of the first of them.
    """
    round_ = _Round(targets, request, rules, context)
    await round_.run()
    if not round_.admitted:
        raise NoViableResponses(
            f"None of {len(targets)} nodes gave an admissible answer. {round_.reason}"
        )
    found = [reply for _, reply in sorted(round_.admitted, key=lambda entry: entry[0])]
    return found[0] if rules.responses == 1 else found[: rules.responses]


class _Round:
    """One round of asking."""

    def __init__(
        self, targets: Sequence[Target], request: Message, rules: Rules, context: Context
    ) -> None:
        self._queue = iter(list(enumerate(targets)))
        self._request = request
        self._rules = rules
        self._context = context
        self._workers = min(rules.parallel, len(targets))
        self.admitted: list[tuple[int, Reply]] = []
        self.reason = ""

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(self._workers):
                nursery.start_soon(self._work, nursery.cancel_scope)

    @property
    def _is_satisfied(self) -> bool:
        return self._rules.stop_after and len(self.admitted) >= self._rules.responses

    async def _work(self, scope: trio.CancelScope) -> None:
        for place, target in self._queue:
            await self._ask(place, target)
            if self._is_satisfied:
                scope.cancel()
                return

    async def _ask(self, place: int, target: Target) -> None:
        node = self._context.node
        try:
            reply = await send(node, target.url, self._request, allow_private=target.trusted)
            if await self._admits(reply):
                self.admitted.append((place, reply))
            else:
                self._note(f"{reply.url.partition('?')[0]} answered {reply.status}.")
        except HyperbeamError as error:
            self._note(str(error))

    def _note(self, reason: str) -> None:
        self.reason = self.reason or reason[:500]

    async def _admits(self, reply: Reply) -> bool:
        rules = self._rules
        if rules.statuses is not None and reply.status not in rules.statuses:
            return False
        if rules.admissible is None:
            return True
        judge, path = rules.admissible, rules.admissible.text("path", "is-admissible")
        # The reply is both what is judged and what the judge is asked with.
        base = Message.of({**reply.message, **judge.without("path")})
        asked = Message.of({**reply.message, "path": path.encode()})
        return await self._context.internal().resolve(base, asked) is True
