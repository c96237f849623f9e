"""Another node's cache as a store."""

import pytest
import trio
import trio.testing

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.codec.httpsig import HTTPSIG
from hyperbeam_trio.commitments import failing_commitments
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.crypto.key_file import save_wallet
from hyperbeam_trio.errors import ConfigError, CorruptData, NecessaryMessageNotFound, StoreError
from hyperbeam_trio.http.client import ClientSettings, HttpClient
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.store import open_store
from hyperbeam_trio.stores.remote import RemoteStore
from hyperbeam_trio.testing.node import running_node
from tests.http.client import RawClient
from tests.http.servers import scripted
from tests.stores.conftest import SIGNER, WRITER, signed

MESSAGES = [
    Message(x="1"),
    Message(n=5, f=1.5, yes=True, nothing=None, empty=""),
    Message(nested={"deep": {"deeper": "value", "n": 1}}, list=[1, "two", {"three": 3}]),
    Message(body="z" * 20_000, n=1),
    Message(data=bytes(range(256)) * 100),
    Message({"key with spaces": "1", "Ümläut": "2", "a.b": "3"}),
    Message(),
]


# Reading.


@pytest.mark.parametrize("message", MESSAGES)
async def test_messages_are_read_by_their_unsigned_ids(peer, remote, message):
    id = await peer.cache.write(message)
    assert await Cache(remote).load_all(Link(id)) == message


@pytest.mark.parametrize("message", MESSAGES[:-1])
async def test_signed_messages_are_read_with_what_proves_them(peer, remote, message):
    own = await signed(message)
    await peer.cache.write(own)
    id = next(c.id for c in own.commitments.values() if c.committer)
    cache = Cache(remote)
    found = await cache.read(id)
    assert found.signers == [SIGNER.address]
    whole = await cache.load_all(found)
    assert whole == message
    assert failing_commitments(whole) == []


async def test_binaries_are_read_by_their_hashes(peer, remote):
    small, large = b"small", bytes(100_000)
    for value in (small, large, b""):
        await peer.cache.write(value)
        assert await Cache(remote).read(hash_id(value)) == value
        assert await remote.get(f"data/{hash_id(value)}") == value


async def test_lists_are_read_by_their_ids(peer, remote):
    id = await peer.cache.write([b"a", 1, Message(x="1")])
    assert await Cache(remote).load_all(Link(id)) == [b"a", 1, Message(x="1")]


async def test_keys_of_a_message_are_read_by_themselves(peer, remote):
    id = await peer.cache.write(Message(a="1", b=Message(c="2")))
    cache = Cache(remote)
    assert await cache.read_key(id, "a") == b"1"
    assert isinstance(await cache.read_key(id, "b"), Link)


async def test_what_is_not_there_is_not_found(remote):
    cache = Cache(remote)
    assert await cache.read(hash_id(b"nothing")) is None
    with pytest.raises(NecessaryMessageNotFound):
        await cache.load(Link(hash_id(b"nothing")))
    for key in ("result/x", "name/x", "other/x", "data/short", "message/../x"[:-5]):
        assert await remote.get(key) is None
    assert await remote.list("message/") == []


async def test_both_read_keys_are_sent(peer, counted):
    store, counting = counted
    id = await peer.cache.write(Message(x="1"))
    await Cache(store).read(id)
    assert counting.targets == [f"/~cache@1.0/read?read={id}&target={id}"]


async def test_a_message_is_fetched_once(peer, counted):
    store, counting = counted
    own = await signed(Message(nested={"deep": "value"}, big="z" * 9000))
    await peer.cache.write(own)
    id = next(c.id for c in own.commitments.values() if c.committer)
    for _ in range(3):
        await Cache(store).load_all(Link(id))
    assert len(counting.targets) == 1


async def test_what_is_not_there_is_asked_for_once_in_a_while(counted):
    store, counting = counted
    for _ in range(3):
        assert await Cache(store).read(hash_id(b"nothing")) is None
    # As a message, and as a binary.
    assert len(counting.targets) == 2


async def test_many_readers_at_once_share_one_request(peer, counted):
    store, counting = counted
    id = await peer.cache.write(Message(x="1"))
    counting.gate = trio.Event()
    found: list[object] = []

    async def read() -> None:
        found.append(await Cache(store).read(id))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked(0.05)
        counting.gate.set()
    assert found == [Message(x="1")] * 10
    assert len(counting.targets) == 1


async def test_what_is_remembered_is_bounded(peer, url):
    store = await open_store(f"remote:{url}?capacity=50KB")
    for number in range(50):
        id = await peer.cache.write(Message(n=number, data="z" * 5000))
        assert (await Cache(store).load_all(Link(id)))["n"] == number
    assert sum(len(v) for v in store._known._values.values()) <= 50 * 1024
    await store.close()


# Who does not tell the truth.


def says(*answers: bytes):
    left = list(answers)

    async def serve(peer: RawClient) -> None:
        while left:
            await peer.until(b"\r\n\r\n")
            await peer.send(left.pop(0))

    return serve


def answer(message: Message, status: int = 200) -> bytes:
    encoded = HTTPSIG.encode(message, bundle=True)
    lines = b"".join(n.encode() + b": " + v + b"\r\n" for n, v in encoded.headers)
    body = encoded.body or b""
    return b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n%b" % (status, lines, len(body), body)


async def refusal(id: str, answer: bytes) -> str:
    """The error that an answer to the question for an id leads to."""
    async with scripted(says(answer)) as port:
        store = await open_store(f"remote:http://127.0.0.1:{port}?retries=0")
        with pytest.raises((CorruptData, StoreError)) as refused:
            await Cache(store).read(id)
        await store.close()
    return f"{refused.type.__name__}: {refused.value}"


async def test_another_message_is_not_taken_for_the_one_asked_for():
    told = await refusal(hash_id(b"asked"), answer(Message(x="forged")))
    assert told.startswith("CorruptData")
    assert "another id" in told


async def test_a_signature_of_another_message_is_not_taken_for_one_of_this():
    real = await signed(Message(x="real"))
    id = next(c.id for c in real.commitments.values() if c.committer)
    forged = Message(x="forged").with_commitments(real.commitments.values())
    told = await refusal(id, answer(forged))
    assert told.startswith("CorruptData")
    assert "does not hold" in told


async def test_a_signature_inside_does_not_make_another_message_known():
    real = await signed(Message(x="real"))
    id = next(c.id for c in real.commitments.values() if c.committer)
    forged = Message(x="forged").with_commitments(real.commitments.values())
    outer = Message(inner=forged)
    outer_id = await Cache(await open_store("memory:")).write(Message(inner={"x": "forged"}))
    async with scripted(
        says(answer(outer), answer(Message(), 404), answer(Message(), 404))
    ) as port:
        store = await open_store(f"remote:http://127.0.0.1:{port}?retries=0")
        cache = Cache(store)
        assert await cache.load_all(Link(outer_id)) == Message(inner={"x": "forged"})
        assert await cache.read(id) is None
        await store.close()


async def test_a_binary_with_another_hash_is_refused():
    other = answer(Message({"ao-result": "body", "body": "something else"}))
    assert "another id" in await refusal(hash_id(b"asked"), other)


@pytest.mark.parametrize("status", [500, 502, 503, 400, 403])
async def test_trouble_is_no_absence(status):
    told = await refusal(hash_id(b"asked"), answer(Message(body="trouble"), status))
    assert told.startswith("StoreError")
    assert str(status) in told


async def test_a_node_that_is_gone_is_trouble():
    store = await open_store("remote:http://127.0.0.1:1?retries=0")
    with pytest.raises(StoreError, match="refused"):
        await store.get(f"message/{hash_id(b'x')}")


async def test_rubbish_is_damage():
    rubbish = b'HTTP/1.1 200 OK\r\nao-types: n="integer"\r\nn: x\r\ncontent-length: 0\r\n\r\n'
    assert (await refusal(hash_id(b"x"), rubbish)).startswith("CorruptData")


# Writing.


@pytest.mark.parametrize("message", MESSAGES)
async def test_messages_are_written_and_can_be_read_there(peer, writable, message):
    id = await Cache(writable).write(message)
    assert await peer.cache.load_all(Link(id)) == message


async def test_signed_messages_arrive_with_their_signatures(peer, writable):
    own = await signed(Message(n=5, nested={"a": 1}, body="z" * 9000))
    await Cache(writable).write(own)
    for id in own.commitments:
        assert await peer.cache.exists(id)
    signed_id = next(c.id for c in own.commitments.values() if c.committer)
    found = await peer.cache.load_all(await peer.cache.read(signed_id))
    assert found.signers == [SIGNER.address]
    assert failing_commitments(found) == []


async def test_a_signature_that_comes_later_arrives_too(peer, writable):
    cache = Cache(writable)
    await cache.write(Message(n=5))
    own = await signed(Message(n=5))
    await cache.write(own)
    id = next(c.id for c in own.commitments.values() if c.committer)
    assert (await peer.cache.read(id)).signers == [SIGNER.address]


async def test_binaries_and_lists_and_many_at_once_are_written(peer, writable):
    values = [bytes(10_000), b"small", [1, b"z" * 9000], *[Message(n=n) for n in range(300)]]
    ids = await Cache(writable).write_many(values)
    for id, value in zip(ids, values, strict=True):
        expected = value if isinstance(value, bytes) else Link(id)
        found = await peer.cache.read(id) if isinstance(value, bytes) else expected
        assert await peer.cache.load_all(found) == value


async def test_names_are_linked_and_looked_up(peer, writable):
    cache = Cache(writable)
    id = await cache.write(Message(x="1"))
    await cache.link("a name/of mine", id)
    assert await peer.cache.lookup("a name/of mine") == id
    assert await cache.lookup("a name/of mine") == id
    assert await cache.lookup("another name") is None


async def test_results_are_not_sent(peer, writable):
    cache = Cache(writable)
    await cache.write_result("some/hashpath", Message(x="1"))
    assert await cache.read_result("some/hashpath") is None
    assert await peer.cache.read_result("some/hashpath") is None


async def test_what_was_missed_before_it_was_written_is_found_after(url, tmp_path):
    save_wallet(WRITER, tmp_path / "key.json")
    store = await open_store(f"remote:{url}?key={tmp_path}/key.json&miss=1000")
    cache = Cache(store)
    id = await Cache(await open_store("memory:")).write(Message(x="1"))
    assert await cache.read(id) is None
    await cache.write(Message(x="1"))
    assert await cache.read(id) == Message(x="1")
    await store.close()


async def test_what_has_no_form_on_the_wire_is_refused(writable):
    with pytest.raises(StoreError, match="a/b"):
        await Cache(writable).write(Message({"a/b": "1"}))


async def test_who_may_not_write_is_told(url, tmp_path):
    save_wallet(SIGNER, tmp_path / "key.json")
    store = await open_store(f"remote:{url}?key={tmp_path}/key.json")
    with pytest.raises(StoreError, match="Not authorized"):
        await Cache(store).write(Message(x="1"))
    await store.close()


async def test_without_a_key_nothing_is_written(remote):
    assert not remote.writable
    with pytest.raises(StoreError, match="no writes"):
        await Cache(remote).write(Message(x="1"))


@pytest.mark.parametrize("key", ["slot/1", "~writeback/x", "x"])
async def test_other_keys_are_refused(writable, key):
    with pytest.raises(StoreError, match="messages, binaries and names"):
        await writable.put({key: b"1"})


async def test_nothing_is_created_or_deleted_there(writable):
    with pytest.raises(StoreError, match="create"):
        await writable.create("message/x", b"")
    with pytest.raises(StoreError, match="deleted"):
        await writable.delete(["message/x"])


# Opening and closing.


@pytest.mark.parametrize(
    "uri", ["remote:", "remote:node.example", "remote:ftp://a", "remote:http://a?nope=1"]
)
async def test_bad_locations_and_options_are_errors(uri):
    with pytest.raises(ConfigError, match="remote"):
        await open_store(uri)


async def test_a_closed_store_answers_nothing(url):
    store = await open_store(f"remote:{url}")
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.get(f"message/{hash_id(b'x')}")


@pytest.mark.parametrize("key", ["", "/a", "a/../b", "a\0", "k" * 401])
async def test_keys_that_are_none_are_refused(remote, key):
    with pytest.raises(ValueError, match="key"):
        await remote.get(key)


async def test_a_store_describes_itself_without_secrets():
    store = RemoteStore("http://a.example", HttpClient(ClientSettings()), WRITER)
    assert store.describe() == "remote:http://a.example"
    await store.close()


# In a row.


async def test_a_node_reads_through_to_another_one_and_keeps_what_it_read(peer, url):
    own = await signed(Message(n=5, nested={"deep": "value"}))
    await peer.cache.write(own)
    id = next(c.id for c in own.commitments.values() if c.committer)
    async with running_node(store=["memory:", f"remote:{url}?access=read"]) as node:
        assert await node.resolve(f"/{id}/nested/deep") == b"value"
        await node.resolve(f"/{id}")
        near = Cache(node.store.tiers[0].store)
        assert (await near.read(id)).signers == [SIGNER.address]
