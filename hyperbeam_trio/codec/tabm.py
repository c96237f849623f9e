"""Type-annotated binary messages: nested maps whose leaves are binaries (spec/01 §3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from hyperbeam_trio.codec.scalars import MAX_NESTING, write_scalar
from hyperbeam_trio.codec.structured_fields import SELF, write_types
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import As, Link, Message, Resolve, Value, describe, is_private

Tabm: TypeAlias = "dict[str, bytes | Tabm]"
"""A TABM: text keys to binaries or TABMs, `ao-types` and `NAME+link` members among them."""

LinkOf: TypeAlias = Callable[[Message | list[Value]], str]

RESOLVE: Final = "resolve"
AS: Final = "as"
"""Types of what only a node writes, for itself."""

REGENERATED: Final = frozenset({"unsigned_id", "content-digest"})
"""Keys that never become part of an encoding, since they are computed anew."""


def write(value: Message | list[Value], link: LinkOf | None, *, commitments: bool = True) -> Tabm:
    """The TABM of a message or a list.

    `link` gives the id under which a nested message or list is linked; without it they stay
    nested. The commitments of messages come along unless `commitments` is false. Private and
    regenerated keys don't. Raises `BadRequest` naming the key of a value that can't be written.
    """
    return _Writer(link, commitments).write(value, 0)


class _Writer:
    __slots__ = ("_commitments", "_link")

    def __init__(self, link: LinkOf | None, commitments: bool) -> None:
        self._link = link
        self._commitments = commitments

    def write(self, value: Message | list[Value] | Resolve | As, depth: int) -> Tabm:
        if depth > MAX_NESTING:
            raise BadRequest(f"Messages are nested over {MAX_NESTING} deep.")
        if isinstance(value, Message):
            return self._message(value, depth)
        kind, items = _sequence(value)
        numbered = {str(place): item for place, item in enumerate(items, 1)}
        return self._level(numbered, [(SELF, kind)], depth)

    def _message(self, message: Message, depth: int) -> Tabm:
        tabm = self._level(message, [], depth)
        if "ao-types" in message:
            tabm["ao-types"] = message.binary("ao-types")
        if self._commitments and message.commitments:
            inline = _Writer(None, False)
            tabm["commitments"] = {
                id: inline.write(commitment.to_message(), depth + 1)
                for id, commitment in sorted(message.commitments.items())
            }
        return tabm

    def _level(self, items: Mapping[str, Value], types: list[tuple[str, str]], depth: int) -> Tabm:
        tabm: Tabm = {}
        for key in sorted(items):
            value = items[key]
            if isinstance(value, bytes):
                if key not in REGENERATED and not is_private(key):
                    tabm[key] = value
            elif key in REGENERATED or is_private(key) or key == "ao-types":
                continue
            elif isinstance(value, Message | list | Link | Resolve | As):
                self._nested(tabm, key, value, depth)
            else:
                tabm[key], kind = write_scalar(key, value)
                types.append((key, kind))
        if types:
            tabm["ao-types"] = write_types(types)
        return tabm

    def _nested(self, tabm: Tabm, key: str, value: Value, depth: int) -> None:
        if isinstance(value, Link) and value.kind == "message":
            tabm[f"{key}+link"] = value.id.encode()
        elif isinstance(value, Message | list):
            if self._link is None:
                tabm[key] = self.write(value, depth + 1)
            else:
                tabm[f"{key}+link"] = self._link(value).encode()
        elif isinstance(value, Resolve | As):
            # These never leave the node, but a message that holds one has an id of its own.
            tabm[key] = self.write(value, depth + 1)
        else:
            raise BadRequest(f"Key {key!r} has to be loaded first: {describe(value)}.")


def _sequence(value: list[Value] | Resolve | As) -> tuple[str, Sequence[Value]]:
    if isinstance(value, list):
        return "list", value
    if isinstance(value, Resolve):
        return RESOLVE, value.sequence
    return AS, (value.device, value.message)


def insert(tabm: Tabm, path: str, value: bytes | Tabm) -> None:
    """Put `value` where its path says; maps merge, anything else on the way is replaced."""
    parts = [part for part in path.split("/") if part]
    if not parts or len(parts) > MAX_NESTING:
        raise BadRequest(f"The path {path[:80]!r} has {len(parts)} keys, not 1 to {MAX_NESTING}.")
    level = tabm
    for part in parts[:-1]:
        inner = level.get(part)
        if not isinstance(inner, dict):
            inner = {}
            level[part] = inner
        level = inner
    present = level.get(parts[-1])
    if isinstance(present, dict) and isinstance(value, dict):
        present.update(value)
    else:
        level[parts[-1]] = value
