"""Messages of the permanent storage, from gateways that say the truth and from others."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import orjson
import pytest
import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.commitments import failing_commitments
from hyperbeam_trio.crypto.bundle import FORMAT_TAGS, build_list
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import hash_id, to_base64url
from hyperbeam_trio.crypto.key_file import load_wallet
from hyperbeam_trio.crypto.transaction import Transaction
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.errors import ConfigError, CorruptData, StoreError
from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from hyperbeam_trio.http.server import serve
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.store import open_store
from tests import vectors

WALLET = Ed25519Wallet(b"g" * 32)
KEYS = vectors.FOLDER / "keys"


@dataclass
class Gateway:
    """Answers as gateways do, from what it was given."""

    nodes: dict[str, dict] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    transactions: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, HttpResponse] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    queries: list[dict] = field(default_factory=list)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        body = await request.body.read(1 << 20)
        target = request.target.decode()
        self.asked.append(target)
        if target in self.answers:
            return self.answers[target]
        if target == "/graphql":
            return self._index(orjson.loads(body))
        kind, _, id = target.strip("/").partition("/")
        found = {"raw": self.data, "tx": self.transactions}[kind].get(id)
        return HttpResponse(404) if found is None else HttpResponse(200, [], found)

    def _index(self, query: dict) -> HttpResponse:
        self.queries.append(query)
        ids = query["variables"]["transactionIds"]
        edges = [{"node": self.nodes[id], "cursor": ""} for id in ids if id in self.nodes]
        return HttpResponse(200, [], orjson.dumps({"data": {"transactions": {"edges": edges}}}))

    def add(self, item: DataItem, **changes: object) -> str:
        """Tell of an item as gateways do; `changes` are what is wrong with it."""
        self.nodes[item.id] = {
            "id": item.id,
            "bundledIn": {"id": hash_id(b"some bundle")},
            "anchor": item.anchor.decode("latin-1"),
            "signature": to_base64url(item.signature),
            "recipient": to_base64url(item.target),
            "owner": {"key": to_base64url(item.owner)},
            "fee": {"winston": "0"},
            "quantity": {"winston": "0"},
            "tags": [{"name": n.decode(), "value": v.decode()} for n, v in item.tags],
            "data": {"size": str(len(item.data))},
            **changes,
        }
        self.data[item.id] = bytes(item.data)
        return item.id

    def add_transaction(self, made: Transaction) -> str:
        self.nodes[made.id] = {
            "id": made.id,
            "bundledIn": None,
            "tags": [],
            "data": {"size": str(made.data_size)},
        }
        self.transactions[made.id] = replace(made, data=b"").to_json()
        self.data[made.id] = made.data
        return made.id


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@asynccontextmanager
async def opened(gateway: Gateway, options: str = "retries=0"):
    async with trio.open_nursery() as nursery:
        [address] = await nursery.start(partial(serve, gateway, "127.0.0.1", 0))
        store = await open_store(f"gateway:http://127.0.0.1:{address[1]}?{options}")
        yield store
        await store.close()
        nursery.cancel_scope.cancel()


@pytest.fixture
async def store(gateway):
    async with opened(gateway) as store:
        yield store


def item(data: bytes = b"hello", *tags: tuple[bytes, bytes], **fields: bytes) -> DataItem:
    return DataItem.create(data, tags, **fields).sign(WALLET)


# Items.

ITEMS = {
    entry["name"]: DataItem.parse(vectors.unbase64(entry["item_base64url"]))
    for entry in vectors.load("arbundles-items.json")["items"]
    if entry["signature_type"] != 6
}


@pytest.mark.parametrize("name", sorted(ITEMS))
async def test_items_of_other_implementations_are_read_and_proven(gateway, store, name):
    made = ITEMS[name]
    id = gateway.add(made)
    cache = Cache(store)
    found = await cache.load_all(await cache.read(id))
    assert found.signers == [made.address]
    whole = await cache.load_evidence(found)
    assert failing_commitments(whole) == []
    assert found.get("data", b"") == bytes(made.data)


async def test_an_anchor_may_be_told_in_base64url(gateway, store):
    made = item(anchor=bytes(range(32)), target=b"t" * 32)
    id = gateway.add(made, anchor=to_base64url(made.anchor))
    assert (await Cache(store).read(id))["data"] == b"hello"


async def test_tags_are_keys(gateway, store):
    id = gateway.add(item(b"hi", (b"Data-Protocol", b"ao"), (b"Type", b"Message")))
    found = await Cache(store).read(id)
    assert (found["data-protocol"], found["type"], found["data"]) == (b"ao", b"Message", b"hi")


async def test_large_data_is_a_blob(gateway, store):
    id = gateway.add(item(b"z" * 100_000))
    cache = Cache(store)
    found = await cache.read(id)
    assert isinstance(found["data"], Link)
    assert (await cache.load(found["data"])) == b"z" * 100_000


async def test_items_inside_of_a_bundle_are_read_with_it(gateway, store):
    inner = [item(b"one"), item(b"two")]
    id = gateway.add(item(build_list(inner), *FORMAT_TAGS))
    found = await Cache(store).load_all(Link(id))
    assert [found["1"]["data"], found["2"]["data"]] == [b"one", b"two"]
    assert found["1"].signers == [WALLET.address]


async def test_the_whole_is_fetched_once(gateway, store):
    id = gateway.add(item())
    for _ in range(3):
        cache = Cache(store)
        await cache.load_all(Link(id))
        assert await cache.read_key(id, "data") == b"hello"
    assert gateway.asked == ["/graphql", f"/raw/{id}"]


async def test_no_data_is_not_asked_for(gateway, store):
    id = gateway.add(item(b"", (b"a", b"b")))
    assert (await Cache(store).read(id))["a"] == b"b"
    assert gateway.asked == ["/graphql"]


async def test_what_the_index_does_not_list_is_not_there(gateway, store):
    assert await Cache(store).read(hash_id(b"nothing")) is None
    assert gateway.asked == ["/graphql"]
    assert await store.get("data/" + hash_id(b"nothing")) is None
    assert await store.get("name/x") is None


async def test_a_subindex_is_sent_along(gateway):
    async with opened(gateway, "subindex=Data-Protocol:ao,Type:Message") as store:
        await Cache(store).read(hash_id(b"nothing"))
    [query] = gateway.queries
    assert '{ name: "Data-Protocol", values: ["ao"]}' in query["query"]
    assert query["variables"] == {"transactionIds": [hash_id(b"nothing")]}


# Transactions.


@pytest.fixture(scope="module")
def arweave():
    return load_wallet(KEYS / "key-1.json")


async def test_transactions_are_read_and_proven(gateway, store, arweave):
    made = Transaction.with_data(b"hello", tags=((b"App", b"x"),), reward=5).sign(arweave)
    id = gateway.add_transaction(made)
    found = await Cache(store).read(id)
    assert found["data"] == b"hello"
    assert found["app"] == b"x"
    assert found.signers == [arweave.address]


async def test_a_transaction_without_its_data_is_not_one(gateway, store, arweave):
    made = Transaction.with_data(b"hello").sign(arweave)
    id = gateway.add_transaction(made)
    gateway.data[id] = b"hullo"
    with pytest.raises(CorruptData, match="does not verify"):
        await Cache(store).read(id)


# Who does not tell the truth.


@pytest.mark.parametrize(
    "changes",
    [
        {"tags": [{"name": "a", "value": "forged"}]},
        {"tags": []},
        {"recipient": to_base64url(b"x" * 32)},
        {"owner": {"key": to_base64url(b"x" * 32)}},
        {"signature": to_base64url(b"x" * 64)},
        {"anchor": "x" * 32},
        {"data": {"size": "0"}},
    ],
)
async def test_what_does_not_verify_is_not_served(gateway, store, changes):
    id = gateway.add(item(b"hello", (b"a", b"b")), **changes)
    with pytest.raises(CorruptData, match="does not verify"):
        await Cache(store).read(id)


async def test_other_data_is_not_served(gateway, store):
    id = gateway.add(item())
    gateway.data[id] = b"hullo"
    with pytest.raises(CorruptData, match="does not verify"):
        await Cache(store).read(id)


async def test_another_item_is_not_taken_for_the_one_asked_for(gateway, store):
    asked, other = item(b"asked"), item(b"other")
    id = gateway.add(asked)
    gateway.add(other)
    gateway.nodes[id] = {**gateway.nodes[other.id], "id": id}
    gateway.data[id] = b"other"
    with pytest.raises(CorruptData, match="does not verify"):
        await Cache(store).read(id)


async def test_a_node_of_another_id_is_not_looked_at(gateway, store):
    id = gateway.add(item())
    gateway.nodes[id] = {**gateway.nodes[id], "id": hash_id(b"other")}
    assert await Cache(store).read(id) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"tags": "none"},
        {"owner": "me"},
        {"signature": "not base64 !"},
        {"data": {"size": "many"}},
        {"tags": [{"name": "a"}]},
        {"anchor": 5},
    ],
)
async def test_descriptions_that_can_not_be_read_are_damage(gateway, store, changes):
    id = gateway.add(item(), **changes)
    with pytest.raises(CorruptData, match="can't be read"):
        await Cache(store).read(id)


# Trouble.


@pytest.mark.parametrize("status", [404, 429, 500, 503])
async def test_an_index_that_fails_is_trouble_and_no_absence(gateway, store, status):
    gateway.answers["/graphql"] = HttpResponse(status)
    with pytest.raises(StoreError, match=str(status)):
        await Cache(store).read(hash_id(b"x"))


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{}", b'{"errors": []}', b'{"data": null}', b'{"data": {"transactions": 5}}'],
)
async def test_an_index_that_says_nothing_is_trouble(gateway, store, body):
    gateway.answers["/graphql"] = HttpResponse(200, [], body)
    with pytest.raises(StoreError, match="no list"):
        await Cache(store).read(hash_id(b"x"))


async def test_data_that_is_gone_is_trouble(gateway, store):
    id = gateway.add(item())
    del gateway.data[id]
    with pytest.raises(StoreError, match="404"):
        await Cache(store).read(id)


async def test_data_may_be_at_another_server(gateway, store):
    id = gateway.add(item())
    elsewhere = HttpResponse(302, [(b"location", f"http://127.0.0.1:1/{id}".encode())])
    gateway.answers[f"/raw/{id}"] = elsewhere
    # It would be followed, but not to a private address.
    with pytest.raises(StoreError, match="private"):
        await Cache(store).read(id)


async def test_a_gateway_is_read_only(store):
    assert not store.writable
    with pytest.raises(StoreError, match="no writes"):
        await Cache(store).write(Message(x="1"))
    with pytest.raises(StoreError):
        await store.create("x", b"")
    with pytest.raises(StoreError):
        await store.delete(["x"])
    assert await store.list() == []


@pytest.mark.parametrize(
    "uri",
    [
        "gateway:",
        "gateway:arweave.net",
        "gateway:http://a?graphql=b",
        "gateway:http://a?subindex=x",
        'gateway:http://a?subindex=x:"y',
        "gateway:http://a?nope=1",
    ],
)
async def test_bad_locations_and_options_are_errors(uri):
    with pytest.raises(ConfigError, match="gateway"):
        await open_store(uri)
