"""Assignments that are signed as ANS-104 items, which Arweave's bundlers take (spec/05 §4.5).

A definition asks for them by `scheduler-commitment-spec`, and the option
`scheduler-default-commitment-spec` for those that don't say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hyperbeam_trio.codec.ans104 import DEVICE, read_item, write_item
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.devices.scheduling.assignment import Draft, Notary
from hyperbeam_trio.errors import BadRequest, NodeError
from hyperbeam_trio.message import Message


class ItemNotary(Notary):
    """As `Notary`, but what it signs are items; their messages are tags with their ids."""

    def sign(self, draft: Draft) -> list[bytes]:
        """The signed item of each wallet."""
        item = write_item(Message.of(draft.items))
        return [item.sign(wallet).to_bytes() for wallet in self.wallets]

    def finish(self, draft: Draft, signatures: Sequence[bytes]) -> Message:
        """The assignment with the commitments that the items are."""
        made = [_commitment(draft, item) for item in signatures]
        return Message.of(draft.items).with_commitments(made)


def _commitment(draft: Draft, item: bytes) -> Commitment:
    read = read_item(DataItem.parse(item))
    if not isinstance(read, Message):
        raise NodeError("An assignment that was signed as an item is no message.")
    (commitment,) = read.commitments.values()
    values = {key: draft.items[key] for key in commitment.committed if key in draft.items}
    return replace(commitment, evidence=Evidence(values, item=item))


def notary_of(codec: str) -> type[Notary]:
    """What signs assignments in the codec of a device; `BadRequest` where nothing does."""
    notaries: dict[str, type[Notary]] = {"httpsig@1.0": Notary, DEVICE: ItemNotary}
    if codec not in notaries:
        raise BadRequest(
            f"Assignments are signed in {' or '.join(notaries)}, not in {codec!r}, as "
            "'scheduler-commitment-spec' has it."
        )
    return notaries[codec]
