"""Taking over stores of HyperBEAM's: what the specification shows, and what others signed."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from hyperbeam_trio.cache import Cache, importing
from hyperbeam_trio.cache.importing import LeftOut, import_tree
from hyperbeam_trio.cache.older_layout import open_tree
from hyperbeam_trio.cache.verify import Damage, verify
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.codec.ids import fresh_id, june_link_id, link_id
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.errors import BadRequest, ConfigError
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.store import open_store
from hyperbeam_trio.verifiers import holds
from tests import vectors
from tests.support.dict_store import DictStore
from tests.support.older_messages import add_value, commitment_fields
from tests.support.older_store import (
    SIGNED_U,
    WRITERS,
    L,
    Layout,
    M,
    To,
    U,
    add_commitments,
    add_data,
    add_message,
    digest,
    example,
    imported,
    write_fs,
)


async def damages(store: DictStore) -> list[object]:
    return [one async for one in verify(store) if not isinstance(one, Progress)]


def test_the_layout_of_the_tests_is_that_of_the_specification() -> None:
    layout = example()
    assert layout[f"{U}/x"] == To("data/a4ayc_80_OGda4BO_1o_V0etpOqiLx1JwB5S3beHW0s")
    assert layout[f"{U}/ao-types"] == To("data/IRd3bqEbIzntm8ZKAEfVyBP3lSFrBH-72_Sh4_tidZM")
    assert layout[f"{U}/m+link"] == To("data/uRNkwNlnsFeuh9Zmh23qAb1ntA_BEGoiF3kWrRJfuZA")
    assert (
        digest(f"{SIGNED_U}/commitments".encode()) == "XXIxr1g5ZzTZ7hWQb8qWnqz1KSzcjGfOMiZzC4-70os"
    )


async def test_messages_are_read_under_the_ids_they_had(
    cache: Cache, store: DictStore, tmp_path: Path, kind: str
) -> None:
    assert await imported(cache, tmp_path, kind, example()) == []
    fresh = Cache(store)
    message = await fresh.read(U)
    assert isinstance(message, Message)
    assert await fresh.load_all(message) == Message(
        x="1", n=5, m={"y": "2"}, l=[1, "two"], e={}, eb=""
    )
    assert await fresh.load(Link(L)) == [1, b"two"]
    assert await damages(store) == []


async def test_messages_of_today_keep_their_ids_too(
    cache: Cache, store: DictStore, tmp_path: Path, kind: str
) -> None:
    inner, outer = Message(y="2"), Message(x="1", m=Message(y="2"))
    layout: Layout = {}
    add_message(layout, fresh_id(inner), {"y": b"2"})
    add_message(layout, fresh_id(outer), {"x": b"1", "m": To(link_id(inner))})
    assert await imported(cache, tmp_path, kind, layout) == []
    assert await cache.load_all(Link(fresh_id(outer))) == outer
    assert "alias/" not in " ".join(await store.list())


async def test_an_import_goes_on_from_where_it_was(
    cache: Cache, store: DictStore, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 2)
    layout = example()
    layout["~scheduler@1.0/assignments/p/0"] = To(U)
    tree = open_tree(WRITERS[kind](tmp_path / "older", layout))
    cursors = [one.cursor async for one in import_tree(tree, cache) if isinstance(one, Progress)]
    assert len(cursors) > 8
    for stop in cursors:
        other = DictStore()
        async with aclosing(import_tree(tree, Cache(other))) as findings:
            async for one in findings:
                if isinstance(one, Progress) and one.cursor == stop:
                    break
        async for _ in import_tree(tree, Cache(other), after=stop):
            pass
        assert other.values == store.values
    with pytest.raises(BadRequest):
        await anext(import_tree(tree, cache, after="alias/x"))


async def test_names_lead_to_what_they_led_to(
    cache: Cache, store: DictStore, tmp_path: Path, kind: str
) -> None:
    layout = example()
    layout["~scheduler@1.0/assignments/p/0"] = To(U)
    layout["assignments/p/1"] = To(M)
    add_data(layout, "local-name@1.0/logo", b"a picture")
    layout["computed/p/refreshed-at"] = b"1700000000"
    layout["~match@1.0&x=data/abc/def"] = b""
    assert await imported(cache, tmp_path, kind, layout) == []
    assert await cache.lookup("~scheduler@1.0/assignments/p/0") == U
    assert await cache.lookup("~scheduler@1.0/assignments/p/1") == M
    for name, value in (("local-name@1.0/logo", b"a picture"), ("computed/p/refreshed-at", b"17")):
        id = await cache.lookup(name)
        assert id is not None
        assert str(await cache.read(id)).startswith(str(value)[:3])
    assert await cache.names("~match") == []
    assert await damages(store) == []


async def test_a_dangling_name_is_told(cache: Cache, tmp_path: Path, kind: str) -> None:
    layout = example()
    layout["assignments/p/1"] = To(SIGNED_U)
    (told,) = await imported(cache, tmp_path, kind, layout)
    assert isinstance(told, Damage)
    assert told.key == "name/assignments/p/1"
    assert await cache.lookup("~scheduler@1.0/assignments/p/1") is None


async def test_binaries_are_taken_unless_only_messages_are_wanted(
    cache: Cache, store: DictStore, tmp_path: Path, kind: str
) -> None:
    layout = example()
    layout[f"data/{digest(b'alone')}"] = b"alone"
    assert await imported(cache, tmp_path, kind, layout, binaries=False) == []
    assert await cache.read(digest(b"alone")) is None
    await imported(cache, tmp_path, kind, layout)
    assert await cache.read(digest(b"alone")) == b"alone"


@pytest.mark.parametrize("odd", [b"group", b"link:abc", b"link:" + U.encode()])
async def test_bytes_that_read_like_a_group_or_a_link_are_bytes(
    cache: Cache, tmp_path: Path, kind: str, odd: bytes
) -> None:
    message = Message(a=odd)
    layout: Layout = {}
    add_message(layout, fresh_id(message), {"a": odd})
    assert await imported(cache, tmp_path, kind, layout) == []
    assert await cache.read(fresh_id(message)) == message


async def test_keys_with_slashes_come_back_whole(cache: Cache, tmp_path: Path, kind: str) -> None:
    message = Message({"a/b": "1", "a/c/d": "2", "z": "3"})
    layout: Layout = {}
    add_message(layout, fresh_id(message), {"a/b": b"1", "a/c/d": b"2", "z": b"3"})
    assert await imported(cache, tmp_path, kind, layout) == []
    assert await cache.read(fresh_id(message)) == message


# What others signed.


def signed_layout(case: dict[str, Any], link: Any) -> Layout:
    """The case as the peer of that time would store it."""
    layout: Layout = {}
    message = vectors.message(case["message"])
    add_value(layout, message, case["unsigned_id"], link)
    fields = {
        id: (
            digest(id.encode()),
            commitment_fields(layout, vectors.message(one["commitment"]), link),
        )
        for id, one in case["commitments"].items()
    }
    add_commitments(layout, case["unsigned_id"], fields)
    if case["signed_id"] not in layout:
        layout[case["signed_id"]] = To(case["unsigned_id"])
    return layout


async def _check_signed(case: dict[str, Any], link: Any, cache: Cache, place: Path) -> None:
    told = await imported(cache, place, "fs", signed_layout(case, link))
    message = await cache.read(case["signed_id"])
    assert isinstance(message, Message), told
    committed = set().union(*(one.committed for one in message.commitments.values()))
    given = vectors.message(case["message"])
    assert await cache.load_all(message) == given.without(*given.keys() - committed)
    signed = {id for id, one in case["commitments"].items() if one["commitment"].get("committer")}
    assert signed <= message.commitments.keys()
    assert verify_message(await cache.load_all(message))
    left_out = {one.key.rpartition("/")[2] for one in told if isinstance(one, LeftOut)}
    assert left_out == given.keys() - committed
    assert [one for one in told if isinstance(one, Damage)] == []


def is_signed(case: dict[str, Any]) -> bool:
    """Whether a case is a message with commitments."""
    return {"message", "commitments", "signed_id"} <= case.keys()


def is_provable(case: dict[str, Any]) -> bool:
    """Whether what the peer signed can be rebuilt from the message, and all of it is there."""
    if not is_signed(case) or "$link" in str(case["message"]):
        return False
    fields = {id: _with_list(one["commitment"]) for id, one in case["commitments"].items()}
    given = vectors.message({**case["message"], "commitments": fields})
    return all(holds(given, commitment) for commitment in given.commitments.values())


def is_unprovable(case: dict[str, Any]) -> bool:
    """Whether it can't: in June 2025 bundles had parts, and ids as keys, in forms of their own."""
    return is_signed(case) and not is_provable(case)


def _with_list(notation: dict[str, Any]) -> dict[str, Any]:
    """A commitment whose `committed`, numbered in June 2025, is a list."""
    committed = notation["committed"]
    if isinstance(committed, dict):
        committed = [committed[number] for number in sorted(committed, key=int)]
    return {**notation, "committed": committed}


@vectors.each("httpsig_signed.json", is_provable)
async def test_what_was_signed_in_june_2025_is_taken_over(
    case: dict[str, Any], cache: Cache, tmp_path: Path
) -> None:
    await _check_signed(case, june_link_id, cache, tmp_path)


@vectors.each("n-httpsig_signed.json", is_provable)
async def test_what_was_signed_in_november_2025_is_taken_over(
    case: dict[str, Any], cache: Cache, tmp_path: Path
) -> None:
    await _check_signed(case, link_id, cache, tmp_path)


@vectors.each("httpsig_signed.json", is_unprovable)
async def test_what_can_t_be_proven_is_told_and_not_passed_off(
    case: dict[str, Any], cache: Cache, tmp_path: Path
) -> None:
    told = await imported(cache, tmp_path, "fs", signed_layout(case, june_link_id))
    assert [one for one in told if isinstance(one, Damage)]
    found = await cache.read(case["signed_id"])
    assert found is None or (isinstance(found, Message) and verify_message(found))


# Which directories are such stores.


async def test_links_may_name_the_store_by_any_path(cache: Cache, tmp_path: Path) -> None:
    root = write_fs(tmp_path / "copy", example(), name="/var/lib/node/cache-mainnet")
    tree = open_tree(root)
    assert [one async for one in import_tree(tree, cache) if not isinstance(one, Progress)] == []
    assert await cache.exists(U)


async def test_a_store_of_lmdb_inside_one_of_files_is_passed_over(
    cache: Cache, tmp_path: Path
) -> None:
    layout: Layout = {}
    add_message(layout, M, {"y": b"2"})
    root = write_fs(tmp_path / "older", layout)
    WRITERS["lmdb"](root / "lmdb", example())
    tree = open_tree(root)
    assert [one async for one in import_tree(tree, cache) if not isinstance(one, Progress)] == []
    assert await cache.exists(M)
    assert not await cache.exists(U)


def test_a_directory_without_messages_is_no_store_but_may_hold_one(
    kind: str, tmp_path: Path
) -> None:
    root = WRITERS[kind](tmp_path / "around", {"notes/today": b"buy milk"})
    with pytest.raises(ConfigError, match="neither binaries below 'data' nor messages"):
        open_tree(root)
    WRITERS["lmdb"](root / "lmdb", example())
    with pytest.raises(ConfigError, match=f"there may be one in {root}/lmdb"):
        open_tree(root)


@pytest.fixture
async def ours(tmp_path: Path) -> Path:
    store = await open_store(f"lmdb:{tmp_path}/ours")
    await store.close()
    return tmp_path / "ours"


async def test_a_store_of_our_own_is_not_taken_for_one(ours: Path) -> None:
    with pytest.raises(ConfigError, match="our own"):
        open_tree(ours)


@pytest.mark.parametrize("name", ["absent", "long" * 100])
def test_what_is_no_directory_is_no_store(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no directory"):
        open_tree(tmp_path / name)
