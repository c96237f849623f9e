"""Messages on their way into a Lua call and out of it again (spec/06 §5.5).

Lua sees commitments under the key `commitments`. What comes back with one keeps it only while the
values that it covers are what they were; a signature that Lua made up is never taken for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.devices.lua_vm import UnfitValue
from hyperbeam_trio.message import (
    Atom,
    Message,
    Value,
    describe,
    is_private,
    numbered,
)


@dataclass(frozen=True, slots=True)
class _Signed:
    """A commitment that Lua was shown, with the values that it covers, in both forms."""

    commitment: Commitment
    message: Message
    shown: Mapping[str, Any]


class Crossing:
    """The border of one call: remembers which commitments went in."""

    def __init__(self) -> None:
        self._signed: dict[str, _Signed] = {}

    def into(self, value: Value) -> Any:
        """A loaded value as Lua's: bytes, numbers, booleans, lists and dicts.

        Raises UnfitValue for what isn't loaded.
        """
        if isinstance(value, bytes | bool | int | float | None):
            return value
        if isinstance(value, Atom):
            return value.encode()
        if isinstance(value, list):
            return [self.into(item) for item in value] or {}
        if isinstance(value, Message):
            return self._message_into(value)
        raise UnfitValue(f"Lua can't hold {describe(value)}; load or resolve it first.")

    def out(self, result: Any) -> Value:
        """A result of Lua's as a value: a table is a list or a message."""
        if isinstance(result, dict):
            return self._message_out(result)
        if isinstance(result, list):
            return [self.out(item) for item in result]
        value: Value = result
        return value

    def _message_into(self, message: Message) -> Any:
        listed = None if message.commitments else numbered(message)
        if listed is not None:
            return [self.into(item) for item in listed]
        shown = {key: self.into(item) for key, item in message.items() if not is_private(key)}
        if message.commitments:
            for id, commitment in message.commitments.items():
                self._signed[id] = _Signed(commitment, message, shown)
            entries = {id: self._shown(c) for id, c in message.commitments.items()}
            return {**shown, "commitments": entries}
        return shown

    def _shown(self, commitment: Commitment) -> Any:
        """A commitment as programs read it: `alg` is what `type` was called before."""
        fields = self.into(commitment.to_message())
        return {**fields, "alg": commitment.type.encode()}

    def _message_out(self, table: dict[str, Any]) -> Message:
        items = {
            key: self.out(item)
            for key, item in table.items()
            if key != "commitments" and not is_private(key)
        }
        entries = table.get("commitments")
        if not isinstance(entries, dict):
            return Message.of(items)
        kept = [s for id in entries if (s := self._signed.get(id)) and _still_holds(s, table)]
        for signed in kept:
            covered = signed.commitment.committed
            items.update((k, signed.message[k]) for k in covered if k in signed.message)
        return Message.of(items).with_commitments(signed.commitment for signed in kept)


def _still_holds(signed: _Signed, table: Mapping[str, Any]) -> bool:
    return all(_alike(table.get(key), signed.shown.get(key)) for key in signed.commitment.committed)


def _alike(ours: Any, theirs: Any) -> bool:
    """Equal with types, as `1`, `1.0` and `True` are signed differently."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(_alike(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_alike, ours, theirs))
    return type(ours) is type(theirs) and bool(ours == theirs)
