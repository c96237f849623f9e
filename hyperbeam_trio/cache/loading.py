"""Following links: a value's content, one level or all of it (spec/04 §6.3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final

import trio

from hyperbeam_trio.cache.flights import Flights, fetch_each
from hyperbeam_trio.cache.linking import links
from hyperbeam_trio.cache.parts import JOIN_BYTES
from hyperbeam_trio.cache.reading import Loaded, Reader
from hyperbeam_trio.cache.record import damaged
from hyperbeam_trio.cache.staging import too_deep
from hyperbeam_trio.cache.vouching import Covered
from hyperbeam_trio.codec.scalars import MAX_NESTING
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.errors import NecessaryMessageNotFound
from hyperbeam_trio.message import Link, Message, Resolve, Value
from hyperbeam_trio.store import Store

READS_AT_ONCE: Final = 32
"""Reads under way for one `load_all`, where the store has to wait for its answers."""
READS_IN_A_ROW: Final = 256
"""Reads of a local store before other tasks get their turn."""


class Loader(Reader):
    """A reader that follows links."""

    def __init__(self, store: Store, *, join_bytes: int = JOIN_BYTES) -> None:
        super().__init__(store, join_bytes=join_bytes)
        self._flights: Flights[Loaded | None] = Flights()

    async def load(self, value: Value) -> Value:
        """The content of a link, one level deep; any other value as it is.

        Tasks that load one link of a remote store at the same time share one read. Raises
        `NecessaryMessageNotFound` when the content is not stored, `CorruptData`, and `TooLarge` for
        a binary in parts that is over `join_bytes`.
        """
        if not isinstance(value, Link):
            return value
        if self.store.scope == "local":
            content = await self._follow(value)
        else:
            content = await self._flights.share(value.id, partial(self._follow, value))
        if content is None:
            raise NecessaryMessageNotFound(value.id)
        return content

    async def load_binaries(self, message: Message) -> Message:
        """The message with its own large binaries loaded, as its encoding and id need them."""
        loaded = {}
        for key, value in message.items():
            if isinstance(value, Link) and value.kind == "binary":
                loaded[key] = await self.load(value)
        return _reloaded(message, {**message, **loaded}) if loaded else message

    async def load_all(self, value: Value) -> Value:
        """The value with every link in it loaded, however deep; equal ids are read once.

        Can be huge; what holds no link comes back as it is. Raises as `load` does, and `TooLarge`
        beyond 256 levels.
        """
        contents: dict[str, Value] = {}
        try:
            if type(value) not in _DEEP or not _may_hold_link(value, 0):
                return value
            if self.store.scope != "local":
                await self._prefetch(value, contents)
            return await _Walk(self._follow, contents).whole(value, 0)
        except RecursionError:
            # The caller stands deep in the stack already.
            raise too_deep() from None

    async def _follow(self, link: Link) -> Loaded | None:
        if link.kind == "message":
            return await self.read(link.id)
        content = await self._blob(link.id)
        if content is not None and len(content) != link.size:
            raise damaged(f"data/{link.id}", f"it has {len(content)} bytes, not {link.size}")
        return content

    async def _prefetch(self, value: Value, contents: dict[str, Value]) -> None:
        """Read what is below `value` into `contents`, level by level, many at once."""
        wanted = links(value)
        for _ in range(MAX_NESTING + 1):
            missing = {link.id: link for link in wanted if link.id not in contents}
            if not missing:
                return
            found = await fetch_each(self.load, list(missing.values()), READS_AT_ONCE)
            contents.update(zip(missing, found, strict=True))
            wanted = (link for id in missing for link in links(contents[id]))
        raise too_deep()


class _Walk:
    """Puts contents in the place of links; equal links share one object."""

    def __init__(
        self, follow: Callable[[Link], Awaitable[Loaded | None]], contents: dict[str, Value]
    ) -> None:
        self._follow = follow
        self._contents = contents
        self._done: dict[str, Value] = {}
        self._reads = 0

    async def whole(self, value: Value, depth: int) -> Value:
        """`value` with everything below it loaded.

        Three frames a level, so that the deepest allowed fits Python's stack.
        """
        if depth > MAX_NESTING:
            raise too_deep()
        if type(value) is not Link:
            return await self._inside(value, depth)
        id = value.id
        done = self._done.get(id)
        if done is None:
            content = self._contents[id] if id in self._contents else await self._read(value)
            done = self._done[id] = await self._inside(content, depth)
        return done

    async def _inside(self, value: Value, depth: int) -> Value:
        if type(value) is Message:
            loaded: dict[str, Value] = {}
            for key, item in value._items.items():
                if type(item) in _DEEP:
                    loaded[key] = await self.whole(item, depth + 1)
            return _reloaded(value, {**value._items, **loaded}) if loaded else value
        if isinstance(value, Resolve):
            return Resolve(tuple(await self._each(value.sequence, depth)))
        return await self._each(value, depth) if isinstance(value, list) else value

    async def _each(self, items: Iterable[Value], depth: int) -> list[Value]:
        loaded = []
        for item in items:
            loaded.append(await self.whole(item, depth + 1) if type(item) in _DEEP else item)
        return loaded

    async def _read(self, link: Link) -> Loaded:
        content = await self._follow(link)
        if content is None:
            raise NecessaryMessageNotFound(link.id)
        self._reads += 1
        if self._reads % READS_IN_A_ROW == 0:
            await trio.lowlevel.checkpoint()
        return content


_DEEP = frozenset({Link, Message, list, Resolve})


def _may_hold_link(value: Value, depth: int) -> bool:
    """Whether there is a link in a value that holds others, or it is nested too deep to tell."""
    if type(value) is Message:
        items: Iterable[Value] = value._items.values()
    elif type(value) is list:
        items = value
    elif type(value) is Resolve:
        items = value.sequence
    else:
        return True
    if depth > MAX_NESTING:
        return True
    # A generator would take another frame of Python's stack for each level.
    for item in items:  # noqa: SIM110  # see above
        if type(item) in _DEEP and _may_hold_link(item, depth + 1):
            return True
    return False


def _reloaded(message: Message, items: dict[str, Value]) -> Message:
    """The same message in another state of loading: its id and commitments stay."""
    other = message._like()
    other._items = items
    if not message.commitments:
        return other
    held = [_respoken(commitment, message, other) for commitment in message.commitments.values()]
    return other.with_commitments(held)


def _respoken(commitment: Commitment, message: Message, loaded: Message) -> Commitment:
    """What spoke for `message` speaks for the same message with its links loaded."""
    evidence = commitment.evidence
    if evidence is None:
        return commitment
    values = evidence.values
    if isinstance(values, Covered) and values.of(message._items):
        rest = (evidence.base, evidence.item, evidence.body, evidence.tail, evidence.proved)
        return commitment.with_evidence(Evidence(values.moved(loaded._items), *rest))
    if not evidence.covers(message):
        return commitment
    return commitment.with_evidence(
        replace(evidence, values={key: loaded[key] for key in evidence.values})
    )
