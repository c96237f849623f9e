"""structured@1.0: messages with typed values to and from TABMs (spec/01 §4, §6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from hyperbeam_trio.codec.base import Codec
from hyperbeam_trio.codec.ids import link_id
from hyperbeam_trio.codec.scalars import MAX_NESTING, read_empty, read_scalar
from hyperbeam_trio.codec.structured_fields import SELF, read_types
from hyperbeam_trio.codec.tabm import AS, RESOLVE, write
from hyperbeam_trio.codec.tabm import Tabm as Tabm
from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.crypto.encoding import commitment_id, is_id
from hyperbeam_trio.crypto.signature_headers import MAX_SIGNATURES
from hyperbeam_trio.errors import BadRequest, NotAcceptable
from hyperbeam_trio.message import As, Link, Message, Resolve, Value, is_private, numbered

_LINK: Final = "+link"

_SKIPPED: Final = frozenset({"ao-types", "commitments", "commitments+link"})

Finish: TypeAlias = Callable[[Tabm, Message], Message]
"""Puts the commitments of a level of a TABM on the message that was read from it."""


def to_tabm(value: Message | list[Value], *, bundle: bool = False) -> Tabm:
    """The TABM of a message or a list, with the commitments of the message.

    With `bundle` nested messages and lists stay inside. Without, `NAME+link` holds their id: the
    signed one where there are signatures, else the unsigned one. Raises `BadRequest` naming the
    key of what can't be written: an unloaded binary, an `As`.
    """
    return write(value, None if bundle else link_id)


def from_tabm(
    tabm: Tabm, *, empties: bool = False, finish: Finish | None = None, internal: bool = False
) -> Message | list[Value]:
    """The message or list of a TABM, with its commitments; older forms of lists are read.

    With `empties` a key that is only announced in `ao-types`, as `empty-list` and the like, comes
    to be, as the form of May 2025 has it. `finish` reads commitments where they may have other
    forms than ours. With `internal`, `Resolve` and `As` are read, which nobody else may send.
    Private keys are dropped. Raises `BadRequest` naming the key that can't be read.
    """
    value = _Reader(empties, finish or with_commitments, internal).read(tabm, 0)
    if isinstance(value, Resolve | As):
        raise BadRequest("A sequence to be resolved can't stand for a whole message.")
    return value


class _Reader:
    __slots__ = ("_empties", "_finish", "_internal")

    def __init__(self, empties: bool, finish: Finish, internal: bool) -> None:
        self._empties = empties
        self._finish = finish
        self._internal = internal

    def read(self, tabm: Tabm, depth: int) -> Message | list[Value] | Resolve | As:
        if depth > MAX_NESTING:
            raise BadRequest(f"Messages are nested over {MAX_NESTING} deep.")
        types = _types(tabm)
        items: dict[str, Value] = {}
        for key, raw in tabm.items():
            if key in _SKIPPED or is_private(key):
                continue
            if key.endswith(_LINK):
                items[key.removesuffix(_LINK)] = _link(key, raw)
            elif isinstance(raw, dict):
                items[key] = self._nested(key, raw, types.get(key), depth)
            else:
                items[key] = read_scalar(key, types[key], raw, depth) if key in types else raw
        if self._empties:
            _add_empties(items, types)
        return self._shaped(Message.of(items), types.get(SELF), tabm)

    def _nested(self, key: str, raw: Tabm, kind: str | None, depth: int) -> Value:
        child = self.read(raw, depth + 1)
        return _listed(key, child) if kind == "list" and isinstance(child, Message) else child

    def _shaped(
        self, message: Message, kind: str | None, tabm: Tabm
    ) -> Message | list[Value] | Resolve | As:
        if kind == "list":
            return _listed(SELF, message)
        if kind in (RESOLVE, AS):
            return self._sequence(kind, message)
        return self._finish(tabm, message)

    def _sequence(self, kind: str | None, message: Message) -> Resolve | As:
        items = _listed(SELF, message) if self._internal else []
        if kind == RESOLVE and self._internal:
            return Resolve(tuple(items))
        match items:
            case [device, Message() as target]:
                return As(device, target)
        raise BadRequest(f"A message can't be of the type {kind!r}.")


def _types(tabm: Tabm) -> Mapping[str, str]:
    raw = tabm.get("ao-types", b"")
    if isinstance(raw, dict):
        raise BadRequest("Key 'ao-types' should be a binary, not a message.")
    return read_types(raw)


def _link(key: str, raw: bytes | Tabm) -> Link:
    text = raw.decode("latin-1") if isinstance(raw, bytes) else ""
    if not is_id(text):
        raise BadRequest(f"Key {key!r} should be an id of 43 characters, not {text[:64]!r}.")
    return Link(text)


def _add_empties(items: dict[str, Value], types: Mapping[str, str]) -> None:
    for key, kind in types.items():
        if key not in items and (empty := read_empty(kind)) is not None:
            items[key] = empty


def _listed(key: str, message: Message) -> list[Value]:
    items = numbered(message) if message else []
    if items is None:
        raise BadRequest(
            f"Key {key!r} is a list whose keys are not 1 to {len(message)}: "
            f"{', '.join(sorted(message)[:8])}."
        )
    return items


def with_commitments(tabm: Tabm, message: Message) -> Message:
    """`message`, read from `tabm`, with the commitments that stand there."""
    entries = tabm.get("commitments")
    if entries is None:
        return message
    if isinstance(entries, bytes):
        raise BadRequest("Key 'commitments' should be a message of commitments by their ids.")
    if len(entries) > MAX_SIGNATURES:
        raise BadRequest(f"A message has over {MAX_SIGNATURES} commitments.")
    return message.with_commitments(
        read_commitment_fields(id, fields) for id, fields in entries.items()
    )


def read_commitment_fields(id: str, fields: bytes | Tabm) -> Commitment:
    """The commitment whose fields a TABM has under `id`; `BadRequest` if there is none."""
    return read_commitment(id, from_tabm(fields) if isinstance(fields, dict) else fields)


def read_commitment(id: str, value: Value) -> Commitment:
    """The commitment that `value` is; its id comes from its signature, whatever it is called."""
    if not isinstance(value, Message):
        raise BadRequest(f"Commitment {id[:64]!r} should be a message.")
    commitment = Commitment.from_message(id, value)
    if not any(commitment.signature):
        return commitment
    return replace(commitment, id=commitment_id(commitment.signature))


class StructuredCodec(Codec):
    """structured@1.0, which is what messages are inside of the node; it has no bytes."""

    name = "structured@1.0"

    def to_bytes(self, message: Message, *, bundle: bool) -> bytes:
        raise NotAcceptable("structured@1.0 has no form in bytes; ask for json@1.0 or httpsig@1.0.")

    def from_bytes(self, data: bytes) -> Message:
        raise BadRequest("structured@1.0 has no form in bytes; send json@1.0 or httpsig@1.0.")


STRUCTURED: Final = StructuredCodec()
