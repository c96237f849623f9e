"""Signed items and transactions put together again from what a gateway tells (spec/04 §5.7).

Gateways give the fields of an item apart and some of them in several notations; what is meant is
what verifies. Nothing else comes out of here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hyperbeam_trio.codec.ans104 import read_item
from hyperbeam_trio.codec.tx import read_transaction
from hyperbeam_trio.commitments import without_false_inside
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.transaction import Transaction
from hyperbeam_trio.message import Message, Value

QUERY: Final = (
    "query($transactionIds: [ID!]!) { transactions(ids: $transactionIds,%s first: 1){ edges { "
    "node { id bundledIn { id } anchor signature recipient owner { key } fee { winston } "
    "quantity { winston } tags { name value } data { size } } cursor } } }"
)


def query_for(id: str, subindex: Sequence[tuple[str, str]]) -> dict[str, object]:
    """The GraphQL request for one id; `subindex` are tags that speed it up."""
    tags = ", ".join(f'{{ name: "{name}", values: ["{value}"]}}' for name, value in subindex)
    narrowed = f" tags: [{tags}]," if tags else ""
    return {"query": QUERY % narrowed, "variables": {"transactionIds": [id]}}


def message_of_item(item: DataItem) -> Message | list[Value] | bytes:
    """What a verified item says, without anything inside that is falsely signed."""
    value = read_item(item)
    return without_false_inside(value) if isinstance(value, Message) else value


def transaction_of(id: str, text: bytes, data: bytes | None) -> Transaction | None:
    """The transaction of this id with its data, if it verifies; `BadRequest` for no transaction."""
    transaction = Transaction.from_json(text)
    if data is not None:
        transaction = replace(transaction, data=data)
    whole = transaction.format == 1 or len(transaction.data) == transaction.data_size
    return transaction if whole and transaction.id == id and transaction.verify() else None


def message_of_transaction(transaction: Transaction) -> Message:
    """What a verified transaction says, without anything inside that is falsely signed."""
    return without_false_inside(read_transaction(transaction))
