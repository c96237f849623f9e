"""What of a store of HyperBEAM's does not prove itself, or is none of its making."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from hyperbeam_trio.cache import Cache, importing, older_layout
from hyperbeam_trio.cache.importing import LeftOut, import_tree
from hyperbeam_trio.cache.older_layout import Entry, Tree, open_tree
from hyperbeam_trio.cache.parts import PART_BYTES
from hyperbeam_trio.cache.verify import Damage
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.ids import fresh_id, june_link_id, link_id, signed_id, unsigned_id
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.errors import CorruptData
from hyperbeam_trio.message import Message
from tests.support.dict_store import DictStore
from tests.support.older_messages import add_signed
from tests.support.older_store import (
    GROUP,
    SIGNED_U,
    WRITERS,
    L,
    Layout,
    M,
    To,
    U,
    add_commitments,
    add_message,
    digest,
    example,
    imported,
    write_fs,
)


async def test_changed_bytes_are_told_and_left_out(
    cache: Cache, store: DictStore, tmp_path: Path, kind: str
) -> None:
    layout = example()
    layout[f"data/{digest(b'1')}"] = b"2"
    told = await imported(cache, tmp_path, kind, layout)
    assert {one.key for one in told if isinstance(one, Damage)} == {
        f"message/{U}",
        f"message/{L}",
        f"data/{digest(b'1')}",
    }
    assert await cache.read(U) is None
    assert await cache.read(M) == Message(y="2")


async def test_a_message_under_another_id_is_told_and_left_out(
    cache: Cache, store: DictStore, tmp_path: Path, kind: str
) -> None:
    layout: Layout = {}
    add_message(layout, U, {"x": b"1", "y": b"2", "z": b"3"})
    (told,) = await imported(cache, tmp_path, kind, layout, binaries=False)
    assert told == Damage(
        f"message/{U}",
        f"{U}: what lies there has another id, and no commitment holds for it.",
    )
    assert store.values == {}


async def test_a_missing_value_is_told(cache: Cache, tmp_path: Path, kind: str) -> None:
    layout = example()
    del layout[f"data/{digest(b'two')}"]
    (told,) = await imported(cache, tmp_path, kind, layout)
    assert told == Damage(f"message/{L}", f"{L}/2 leads to nothing.")


async def test_links_in_a_ring_end(cache: Cache, tmp_path: Path, kind: str) -> None:
    layout = {**example(), "name/a": To("name/b"), "name/b": To("name/a")}
    told = await imported(cache, tmp_path, kind, layout)
    assert [type(one) for one in told] == [Damage, Damage]


async def test_results_among_the_keys_of_a_message_are_left_out(
    cache: Cache, tmp_path: Path, kind: str
) -> None:
    message = Message(device="test-device@1.0", k="v")
    layout: Layout = {}
    id = june_link_id(message)
    add_message(layout, id, {"device": b"test-device@1.0", "k": b"v", "test_func": b"GOOD"})
    (told,) = await imported(cache, tmp_path, kind, layout)
    assert isinstance(told, LeftOut)
    assert told.key == f"message/{id}/test_func"
    assert await cache.read(id) == message


async def test_an_id_that_leads_where_nothing_vouches_for_it_is_told(
    cache: Cache, tmp_path: Path, kind: str
) -> None:
    layout = {**example(), SIGNED_U: To(U)}
    (told,) = await imported(cache, tmp_path, kind, layout)
    assert told == Damage(f"alias/{SIGNED_U}", "nothing that was stored proves this id")


async def test_links_among_groups_that_go_around_in_rings_end(
    cache: Cache, tmp_path: Path, kind: str
) -> None:
    layout: Layout = {**example(), SIGNED_U: GROUP, f"{SIGNED_U}/x": To("g")}
    for number in range(40):
        layout[f"g/{number}"] = To("g")
    told = await imported(cache, tmp_path, kind, layout)
    damaged = Damage(f"message/{SIGNED_U}", f"{SIGNED_U}/x leads to g, which is no message.")
    assert [one for one in told if isinstance(one, Damage)] == [damaged]
    assert {one.key for one in told if isinstance(one, LeftOut)} == {
        f"name/g/{number}" for number in range(40)
    }


async def test_a_key_with_many_slashes_comes_back_whole(
    cache: Cache, tmp_path: Path, kind: str
) -> None:
    message = Message({"/".join("abcdefghijklmnop"): "1"})
    layout: Layout = {}
    add_message(layout, fresh_id(message), dict.fromkeys(message, b"1"))
    assert await imported(cache, tmp_path, kind, layout) == []
    assert await cache.read(fresh_id(message)) == message


async def test_a_commitment_that_can_t_be_read_is_told_and_its_message_kept(
    cache: Cache, tmp_path: Path, kind: str
) -> None:
    layout = example()
    add_commitments(layout, M, {SIGNED_U: (digest(b"c"), {"signature": b"no base64!"})})
    del layout[SIGNED_U]
    told = await imported(cache, tmp_path, kind, layout)
    reason = "this commitment does not hold, or can't be read"
    assert Damage(f"message/{M}/commitments/{SIGNED_U}", reason) in told
    assert await cache.read(M) == Message(y="2")


async def test_a_commitment_that_is_not_stored_is_told_and_its_message_kept(
    cache: Cache, tmp_path: Path, kind: str
) -> None:
    layout = example()
    layout[f"{M}/commitments"] = To("commitments-of-m")
    layout[f"commitments-of-m/{SIGNED_U}"] = To(digest(b"gone"))
    told = await imported(cache, tmp_path, kind, layout)
    assert (
        Damage(
            f"message/{M}/commitments/{SIGNED_U}", "this commitment does not hold, or can't be read"
        )
        in told
    )
    assert await cache.read(M) == Message(y="2")


async def _bundled() -> Message:
    """A message whose signature covers the messages in it, the same one four times."""
    leaf = Message(text="leaf")
    node = Message(dict.fromkeys("abcd", leaf))
    whole = Message(first=node, second=node)
    wallet = Ed25519Wallet(bytes([1]) * 32)
    return await commit_signed(whole, wallet, limiter=trio.CapacityLimiter(1), bundle=True)


async def test_what_a_signature_covers_is_read_with_all_that_it_holds(
    cache: Cache, tmp_path: Path, kind: str
) -> None:
    message = await _bundled()
    layout: Layout = {}
    add_signed(layout, message, link_id)
    assert await imported(cache, tmp_path, kind, layout) == []
    assert await cache.load_all(await cache.read(signed_id(message))) == message


async def test_what_a_signature_covers_is_read_only_so_far(
    cache: Cache, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(older_layout, "MOST_WHOLE", 5000)
    message = await _bundled()
    layout: Layout = {}
    add_signed(layout, message, link_id)
    told = await imported(cache, tmp_path, kind, layout)
    keys = [one.key for one in told if isinstance(one, Damage)]
    assert keys == [f"message/{unsigned_id(message)}", f"alias/{signed_id(message)}"]
    assert await cache.read(signed_id(message)) is None


async def test_a_key_that_no_id_covers_is_told(cache: Cache, tmp_path: Path, kind: str) -> None:
    layout = example()
    layout[f"{M}/ao-types"] = To(U)
    told = await imported(cache, tmp_path, kind, layout)
    assert [one.key for one in told if isinstance(one, Damage)] == [f"message/{M}"]
    assert await cache.exists(U)


# What the disk gives.


class _Damaged:
    """A tree of which some paths can't be read."""

    def __init__(self, tree: Tree, *paths: str) -> None:
        self._tree = tree
        self._paths = paths

    def entry(self, path: str) -> Entry:
        if path in self._paths:
            raise CorruptData(f"{path}: the disk can't read it.")
        return self._tree.entry(path)

    def children(self, path: str, after: str, limit: int) -> Sequence[str]:
        return self._tree.children(path, after, limit)

    def close(self) -> None:
        self._tree.close()


async def test_what_the_disk_can_t_read_is_told_and_the_rest_taken_over(
    cache: Cache, tmp_path: Path, kind: str
) -> None:
    layout = {**example(), "computed/p/note": b"a note", "computed/p/slot": To(U)}
    two = f"data/{digest(b'two')}"
    tree = _Damaged(open_tree(WRITERS[kind](tmp_path / "older", layout)), M, two, "computed/p/note")
    found = [one async for one in import_tree(tree, cache) if not isinstance(one, Progress)]
    assert {one.key for one in found if isinstance(one, Damage)} == {
        f"message/{M}",
        f"message/{L}",
        two,
        "name/computed/p/note",
    }
    assert await cache.lookup("computed/p/slot") == U


async def test_what_is_neither_file_nor_directory_nor_link_is_nothing(
    cache: Cache, tmp_path: Path
) -> None:
    layout = {**example(), "computed/p/slot": To(U)}
    root = write_fs(tmp_path / "older", layout)
    # Whoever opens it waits for somebody who writes.
    os.mkfifo(root / "computed/p/pipe")
    os.mkfifo(root / "computed-pipe")
    told = [one async for one in import_tree(open_tree(root), cache)]
    assert all(isinstance(one, Progress) for one in told)
    assert await cache.lookup("computed/p/slot") == U


async def test_a_path_that_no_disk_takes_leads_to_nothing(
    cache: Cache, tmp_path: Path, kind: str
) -> None:
    layout = {**example(), "computed/p": To("long" * 200)}
    (told,) = await imported(cache, tmp_path, kind, layout)
    assert told == LeftOut("name/computed/p", "it leads to nothing that is a message or a binary")


async def test_directories_may_be_as_deep_as_the_disk_lets_them(
    cache: Cache, tmp_path: Path
) -> None:
    root = write_fs(tmp_path / "older", example())
    path = "computed"
    for _ in range(1100):
        (root / path).mkdir()
        path += "/d"
    (root / path).write_bytes(b"deep")
    try:
        told = [one async for one in import_tree(open_tree(root), cache)]
        assert all(isinstance(one, Progress) for one in told)
        id = await cache.lookup(path)
        assert id is not None
        assert await cache.read(id) == b"deep"
    finally:
        # So deep that what tidies up behind tests can't.
        (root / path).unlink()
        while path := path.rpartition("/")[0]:
            (root / path).rmdir()


async def test_a_key_that_is_no_text_is_told(cache: Cache, tmp_path: Path) -> None:
    layout = example()
    layout[f"{M}/k\udcff"] = b"1"
    told = await imported(cache, tmp_path, "fs", layout)
    (damage,) = [one for one in told if isinstance(one, Damage)]
    assert damage.key == f"message/{M}"
    assert "UTF-8" in damage.reason


# What is large.


async def test_a_binary_that_is_larger_than_any_value_is_stored_in_parts(
    cache: Cache, store: DictStore, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "MAX_VALUE_BYTES", 1000)
    large = bytes(range(256)) * (PART_BYTES // 256 + 1)
    layout = {**example(), f"data/{digest(large)}": large}
    assert await imported(cache, tmp_path, kind, layout) == []
    assert await cache.read(digest(large)) == large
    assert f"parts/{digest(large)}" in store.values


async def test_a_message_with_a_larger_one_is_told_and_left_out(
    cache: Cache, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "MAX_VALUE_BYTES", 1000)
    message = Message(body=b"x" * 1001)
    layout: Layout = {}
    add_message(layout, fresh_id(message), {"body": b"x" * 1001})
    (told,) = await imported(cache, tmp_path, kind, layout)
    assert told == Damage(f"message/{fresh_id(message)}", "one of its values has over 1000 bytes")
    assert await cache.read(fresh_id(message)) is None


async def test_few_large_messages_become_durable_together(
    cache: Cache, store: DictStore, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH_BYTES", 1000)
    layout: Layout = {}
    for number in range(6):
        body = bytes([number]) * 600
        add_message(layout, fresh_id(Message(body=body)), {"body": body})
    assert await imported(cache, tmp_path, kind, layout, binaries=False) == []
    assert store.puts == 3
