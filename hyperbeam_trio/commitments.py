"""Choosing, checking and applying the commitments of a message (spec/01 §12, §13)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from hyperbeam_trio.codec.ids import combine_ids, fresh_id, is_unsigned, unsigned_id
from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.verifiers import holds

Selector: TypeAlias = str | Sequence[str] | None
"""`None` or `none`, `all`, one address or id, or several."""

NONE: Final = "none"
ALL: Final = "all"

_NESTED: Final = frozenset({Message, list})


def select(
    message: Message, *, committers: Selector = None, commitment_ids: Selector = None
) -> list[Commitment]:
    """The commitments that two selectors name together, in the order of their ids.

    Without any selector the unsigned ones; `committers="all"` are the signed ones, and the
    unsigned where nothing is signed. An id that is not there selects nothing; an address raises
    `BadRequest`.
    """
    if committers in (None, NONE) and commitment_ids in (None, NONE):
        return _unsigned(message)
    chosen = {c.id for c in _by_committers(message, committers)}
    chosen.update(_by_ids(message, commitment_ids))
    return [commitment for id, commitment in sorted(message.commitments.items()) if id in chosen]


def _unsigned(message: Message) -> list[Commitment]:
    return [c for _, c in sorted(message.commitments.items()) if is_unsigned(c)]


def _by_committers(message: Message, committers: Selector) -> list[Commitment]:
    if committers is None or committers == NONE:
        return []
    signed = [c for c in message.commitments.values() if c.committer is not None]
    if committers == ALL:
        return signed or _unsigned(message)
    wanted = {committers} if isinstance(committers, str) else set(committers)
    missing = wanted.difference(c.committer for c in signed)
    if missing:
        raise BadRequest(
            f"The message has no commitment by {', '.join(sorted(missing))}.",
            details={"reason": "requested_committers_not_found"},
        )
    return [c for c in signed if c.committer in wanted]


def _by_ids(message: Message, ids: Selector) -> Iterable[str]:
    if ids is None or ids == NONE:
        return []
    if ids == ALL:
        return message.commitments
    return [ids] if isinstance(ids, str) else ids


def selected_id(
    message: Message, *, committers: Selector = None, commitment_ids: Selector = None
) -> str:
    """The combined id of the selected commitments (spec/02 §7).

    Where none is selected: the unsigned id, or, if ids were named that are not there, the id of
    all keys computed afresh.
    """
    chosen = select(message, committers=committers, commitment_ids=commitment_ids)
    if chosen:
        return combine_ids(c.id for c in chosen)
    named = commitment_ids not in (None, NONE, ALL)
    return fresh_id(message) if named else unsigned_id(message)


def committed_keys(
    message: Message, *, committers: Selector = None, commitment_ids: Selector = None
) -> list[str]:
    """The keys that every selected commitment covers; none if none is selected."""
    return shared_keys(select(message, committers=committers, commitment_ids=commitment_ids))


def shared_keys(commitments: Sequence[Commitment]) -> list[str]:
    """The keys that each of these commitments covers, in the order of the first."""
    if not commitments:
        return []
    first, *others = [commitment.committed for commitment in commitments]
    if all(other == first for other in others):
        return list(first)
    shared = set(first).intersection(*others)
    return [key for key in first if key in shared]


def verify_message(
    message: Message,
    *,
    committers: Selector = None,
    commitment_ids: Selector = None,
    secret: bytes | None = None,
) -> bool:
    """Whether all selected commitments hold; true if none is selected."""
    chosen = select(message, committers=committers, commitment_ids=commitment_ids)
    return all(holds(message, commitment, secret=secret) for commitment in chosen)


def failing_commitments(message: Message, *, secret: bytes | None = None) -> list[Commitment]:
    """The commitments that don't hold, signed and unsigned ones."""
    return [
        commitment
        for _, commitment in sorted(message.commitments.items())
        if not holds(message, commitment, secret=secret)
    ]


def without_false_inside(message: Message) -> Message:
    """The message with only those commitments on nested messages that hold.

    For whatever comes from elsewhere: its own commitments are checked apart, but a nested message
    could carry a signature that belongs to another, and be taken for it by its id.
    """
    if _NESTED.isdisjoint(map(type, message.values())):
        return message
    items = {key: _true_inside(value) for key, value in message.items()}
    return message if _same_objects(items, message) else _with_items(message, items)


def _true_inside(value: Value) -> Value:
    if isinstance(value, list):
        inside = [_true_inside(item) for item in value]
        return value if all(a is b for a, b in zip(inside, value, strict=True)) else inside
    if not isinstance(value, Message):
        return value
    checked = without_false_inside(value)
    # What was signed is what was received, so the nested messages as they came are what counts.
    false = {commitment.id for commitment in failing_commitments(value)}
    if not false:
        return checked
    return checked.with_commitments(c for c in value.commitments.values() if c.id not in false)


def _same_objects(items: Mapping[str, Value], message: Message) -> bool:
    return all(items[key] is message[key] for key in items)


def _with_items(message: Message, items: Mapping[str, Value]) -> Message:
    return Message.of(items).with_commitments(message.commitments.values())


def only_committed(message: Message) -> Message:
    """The message with the keys that all its commitments cover; unchanged without commitments."""
    if not message.commitments:
        return message
    shared = set(shared_keys(list(message.commitments.values())))
    return without_but_committed(message, [key for key in message if key not in shared])


def without_unless_signed(keys: Iterable[str], message: Message) -> Message:
    """The message without those of `keys` that not every signature covers.

    Without signatures the unsigned commitment counts.
    """
    chosen = select(message, committers=ALL)
    signed = set(shared_keys(chosen))
    return without_but_committed(message, [key for key in keys if key not in signed])


def without_but_committed(message: Message, keys: Sequence[str]) -> Message:
    """The message without `keys`, none of which its commitments cover, which it keeps."""
    return message.without_beside(keys)
