"""Messages on their way into a Lua call and out of it again (spec/06 §5.5).

Lua sees commitments under the key `commitments`. What comes back with one keeps it only while the
values that it covers are what they were; a signature that Lua made up is never taken for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.crypto.encoding import to_base64url
from hyperbeam_trio.devices.lua_vm import Lasting, UnfitValue, alike
from hyperbeam_trio.message import (
    Atom,
    Message,
    Value,
    describe,
    is_private,
    numbered,
)

COMMON_KEYS: Final = 64
"""Commitments that cover more keys are converted anew each time, so that little is kept."""

_AS_THEY_ARE: Final = frozenset({bytes, bool, int, float, type(None)})


@dataclass(frozen=True, slots=True)
class _Signed:
    """A commitment that Lua was shown, with the values that it covers, in both forms."""

    commitment: Commitment
    message: Message
    shown: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """A message that Lua is shown again and again, as it is shown, with its commitments."""

    message: Message
    table: Any
    signed: Mapping[str, _Signed]

    @classmethod
    def of(cls, message: Message) -> Shown:
        """A loaded message, converted once."""
        crossing = Crossing()
        table = crossing.into(message)
        lasting = Lasting(table) if type(table) is dict else table
        return cls(message, lasting, crossing._signed)


class Crossing:
    """The border of one call: remembers which commitments went in.

    `shown` is a message that need not be converted again where it goes in.
    """

    def __init__(self, shown: Shown | None = None) -> None:
        self._signed: dict[str, _Signed] = {}
        self._shown_before = shown

    def into(self, value: Value) -> Any:
        """A loaded value as Lua's: bytes, numbers, booleans, lists and dicts.

        Raises UnfitValue for what isn't loaded.
        """
        if type(value) in _AS_THEY_ARE:
            return value
        if isinstance(value, Message):
            return self._message_into(value)
        if isinstance(value, list):
            return [self.into(item) for item in value] or {}
        if isinstance(value, Atom):
            return value.encode()
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
        before = self._shown_before
        if before is not None and before.message is message:
            self._signed.update(before.signed)
            return before.table
        commitments, items = message.commitments, message._items
        if not commitments and "1" in items and (listed := numbered(message)) is not None:
            return [self.into(item) for item in listed]
        shown = {
            key: item if type(item) in _AS_THEY_ARE else self.into(item)
            for key, item in items.items()
            if not key.startswith("priv")
        }
        if not commitments:
            return shown
        for id, commitment in commitments.items():
            self._signed[id] = _Signed(commitment, message, shown)
        return {**shown, "commitments": {id: _entry(c) for id, c in commitments.items()}}

    def _message_out(self, table: dict[str, Any]) -> Message:
        before = self._shown_before
        if before is not None and alike(table, before.table):
            return before.message
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


def _entry(commitment: Commitment) -> dict[str, Any]:
    """A commitment as programs read it: `alg` is what `type` was called before."""
    given = commitment
    if given.extra or len(given.committed) > COMMON_KEYS:
        return _entry_of(given)
    fields = (given.device, given.type, given.committed, given.keyid, given.committer, given.bundle)
    return {**_common_entry(*fields), "signature": to_base64url(given.signature).encode()}


@lru_cache(maxsize=256)
def _common_entry(
    device: str,
    type_: str,
    committed: tuple[str, ...],
    keyid: str | None,
    committer: str | None,
    bundle: bool | None,
) -> Mapping[str, Any]:
    """What the entries of commitments that differ in their signatures only have in common."""
    return _entry_of(Commitment("", device, type_, b"", committed, keyid, committer, bundle))


def _entry_of(commitment: Commitment) -> dict[str, Any]:
    fields: dict[str, Any] = Crossing().into(commitment.to_message())
    return {**fields, "alg": commitment.type.encode()}


def _still_holds(signed: _Signed, table: Mapping[str, Any]) -> bool:
    return all(alike(table.get(key), signed.shown.get(key)) for key in signed.commitment.committed)
