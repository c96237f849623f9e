"""A scheduler of legacynet: it takes items, and gives slots as JSON."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import orjson

from hyperbeam_trio.codec.ans104 import read_item
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import to_base64url
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.http.exchange import HttpResponse
from hyperbeam_trio.message import Message
from tests.devices.scheduling.stub import Asked
from tests.devices.scheduling.world import USER

UNIT = Ed25519Wallet(bytes([5]) * 32)


def as_json(item: DataItem) -> dict[str, object]:
    """An item in the words of such schedulers."""
    return {
        "id": item.id,
        "signature": to_base64url(item.signature),
        "owner": {"key": to_base64url(item.owner), "address": item.address},
        "target": to_base64url(item.target),
        "anchor": "",
        "tags": [{"name": name.decode(), "value": value.decode()} for name, value in item.tags],
        "data": bytes(item.data).decode(),
    }


class Unit:
    """A scheduler of legacynet for one process; `size` slots a page."""

    def __init__(self, process: str, size: int = 3) -> None:
        self.process = process
        self.wallet = UNIT
        self.size = size
        self.slots: list[tuple[DataItem, DataItem]] = []

    def take(self, item: DataItem) -> DataItem:
        """The assignment of an item to the next slot."""
        nonce = len(self.slots)
        tags = {
            "Process": self.process,
            "Epoch": "0",
            "Nonce": str(nonce),
            "Message": item.id,
            "Block-Height": str(1000 + nonce),
            "Timestamp": str(1_700_000_000_000 + nonce),
        }
        pairs = [(name.encode(), value.encode()) for name, value in tags.items()]
        assignment = DataItem.create(b"", pairs).sign(self.wallet)
        self.slots.append((item, assignment))
        return assignment

    def __call__(self, asked: Asked) -> HttpResponse:
        if asked.method == "POST":
            id = self.take(DataItem.parse(asked.body)).id
            return HttpResponse(200, body=orjson.dumps({"id": id, "timestamp": 0}))
        url = urlsplit(asked.target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        assert query["process-id"] == self.process
        return HttpResponse(200, body=orjson.dumps(self._answer(url.path.strip("/"), query)))

    def _answer(self, path: str, query: dict[str, str]) -> object:
        if path == f"{self.process}/latest":
            return self.node(len(self.slots) - 1)
        if path != self.process:
            return self.node([assignment.id for _, assignment in self.slots].index(path))
        last = min(int(query.get("to-nonce", len(self.slots))), len(self.slots) - 1)
        wanted = range(int(query.get("from-nonce", -1)) + 1, last + 1)
        edges = [{"cursor": str(n), "node": self.node(n)} for n in wanted[: self.size]]
        return {"page_info": {"has_next_page": len(wanted) > self.size}, "edges": edges}

    def node(self, nonce: int) -> dict[str, object]:
        """A slot as JSON."""
        message, assignment = self.slots[nonce]
        return {"message": as_json(message), "assignment": as_json(assignment)}


def item(process: str, data: str, **tags: str) -> DataItem:
    """An item of a user's for a process."""
    pairs = [(name.encode(), value.encode()) for name, value in tags.items()]
    return DataItem.create(data.encode(), [*pairs, (b"target", process.encode())]).sign(USER)


def sent(item: DataItem) -> Message:
    """The message that an item is."""
    message = read_item(item)
    assert isinstance(message, Message)
    return message


DEFINITION = DataItem.create(
    b"",
    [
        (b"Data-Protocol", b"ao"),
        (b"Variant", b"ao.TN.1"),
        (b"Type", b"Process"),
        (b"Scheduler", UNIT.address.encode()),
        (b"device", b"process@1.0"),
        (b"execution-device", b"test-device@1.0"),
    ],
).sign(USER)
