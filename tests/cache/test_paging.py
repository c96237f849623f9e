"""Binaries in pages: an unchanged page is stored once, a changed one as what changed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.collect import Collector
from hyperbeam_trio.cache.copying import copy
from hyperbeam_trio.cache.exporting import HEAD, export, import_lines
from hyperbeam_trio.cache.packing import PAGE_BYTES, Page, difference, pack, read_packed
from hyperbeam_trio.cache.paging import PAGES_AT_ONCE, Paged
from hyperbeam_trio.cache.record import encode
from hyperbeam_trio.cache.repairing import Repair, repair
from hyperbeam_trio.cache.verify import Damage, Reference, verify
from hyperbeam_trio.codec.ids import fresh_id
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.errors import CorruptData, NecessaryMessageNotFound
from hyperbeam_trio.message import Link, Message
from tests.support.dict_store import DictStore
from tests.support.filled import collect, swept_keys

RANDOM = Random(11)
ZERO = bytes(PAGE_BYTES)


def noise() -> bytes:
    """A page that can't be deflated."""
    return RANDOM.randbytes(PAGE_BYTES)


def touched(page: bytes, *at: int) -> bytes:
    """The page with some of its bytes changed."""
    changed = bytearray(page)
    for place in at or (100,):
        changed[place] ^= 0xFF
    return bytes(changed)


def paged(pages: Sequence[bytes], asked: list[int] | None = None) -> Paged:
    """Pages to be written; `asked` gets the numbers of those whose content is asked for."""

    def content(number: int) -> bytes:
        if asked is not None:
            asked.append(number)
        return pages[number]

    whole = b"".join(pages)
    return Paged(hash_id(whole), len(whole), [hash_id(page) for page in pages], content)


async def read(cache: Cache, link: Link) -> bytes:
    content = await cache.load(link)
    assert isinstance(content, bytes)
    return content


async def findings(store: DictStore) -> list[Damage | Reference]:
    return [found async for found in verify(store) if isinstance(found, Damage | Reference)]


def size(store: DictStore) -> int:
    return sum(map(len, store.values.values()))


@pytest.mark.parametrize("count", [1, 2, PAGES_AT_ONCE, PAGES_AT_ONCE + 1])
async def test_what_is_written_in_pages_is_read_as_any_binary(
    cache: Cache, store: DictStore, count: int
) -> None:
    pages = [bytes([n]) * PAGE_BYTES for n in range(count - 1)] + [b"the end"]
    link = await cache.write_paged(paged(pages))
    whole = b"".join(pages)
    assert link == Link(hash_id(whole), "binary", len(whole))
    assert await read(cache, link) == whole
    assert await cache.exists(link.id)
    assert await cache.is_paged(link)
    assert await findings(store) == []


async def test_a_message_has_the_same_id_whether_its_body_is_in_pages(cache: Cache) -> None:
    for pages in ([noise()], [noise()] * 40):
        link = await cache.write_paged(paged(pages))
        assert await cache.write(Message(body=link)) == fresh_id(Message(body=b"".join(pages)))


async def test_a_page_that_is_stored_is_not_asked_for_again(cache: Cache, store: DictStore) -> None:
    pages = [noise(), ZERO, noise(), ZERO, ZERO]
    asked: list[int] = []
    first = await cache.write_paged(paged(pages, asked))
    assert asked == [0, 1, 2]
    asked.clear()
    pages[2] = noise()
    await cache.write_paged(paged(pages, asked), first)
    assert asked == [2]
    asked.clear()
    await Cache(store).write_paged(paged(pages, asked), first)
    assert asked == []


async def test_zeros_cost_next_to_nothing(cache: Cache, store: DictStore) -> None:
    link = await cache.write_paged(paged([ZERO] * 192))
    assert size(store) < 16_000
    assert await read(cache, link) == bytes(192 * PAGE_BYTES)


async def test_a_page_that_changed_a_little_is_stored_as_its_change(
    cache: Cache, store: DictStore
) -> None:
    pages = [noise() for _ in range(8)]
    link = await cache.write_paged(paged(pages))
    kept = [(link, b"".join(pages))]
    for number in range(8):
        before = size(store)
        pages[number % 3] = touched(pages[number % 3], number)
        link = await cache.write_paged(paged(pages), link)
        kept.append((link, b"".join(pages)))
        assert size(store) - before < 3000
    for link, content in kept:
        assert await read(cache, link) == content
    assert await findings(store) == []


async def test_no_page_hangs_on_more_than_one_other(cache: Cache, store: DictStore) -> None:
    page = noise()
    link = await cache.write_paged(paged([page]))
    for number in range(5):
        page = touched(page, number)
        link = await cache.write_paged(paged([page]), link)
    packed = {
        key: read_packed(key.removeprefix("packed/"), value)
        for key, value in store.values.items()
        if key.startswith("packed/")
    }
    bases = {page.base for page in packed.values() if page.base is not None}
    assert len(packed) == 6
    assert len(bases) == 1
    assert packed["packed/" + bases.pop()].base is None


async def test_a_page_that_changed_a_lot_is_stored_whole(cache: Cache, store: DictStore) -> None:
    first = await cache.write_paged(paged([noise()]))
    other = noise()
    await cache.write_paged(paged([other]), first)
    assert read_packed(hash_id(other), store.values["packed/" + hash_id(other)]).base is None


async def test_pages_come_with_their_numbers_and_some_are_left_out(cache: Cache) -> None:
    pages = [noise(), ZERO, noise(), ZERO, b"end"]
    link = await cache.write_paged(paged(pages))
    found = [page async for some in cache.read_paged(link, {hash_id(ZERO)}) for page in some]
    assert found == [(0, pages[0]), (2, pages[2]), (4, b"end")]


async def test_what_is_not_in_pages_is_not_read_as_such(cache: Cache) -> None:
    plain = await cache.write(b"x" * 200_000)
    link = Link(plain, "binary", 200_000)
    assert not await cache.is_paged(link)
    with pytest.raises(NecessaryMessageNotFound):
        _ = [pages async for pages in cache.read_paged(link)]


async def test_damage_is_found_and_named(cache: Cache, store: DictStore) -> None:
    first = noise()
    link = await cache.write_paged(paged([first, ZERO]))
    changed = touched(first)
    other = await cache.write_paged(paged([changed, ZERO]), link)
    key = f"packed/{hash_id(first)}"
    store.values[key] = encode(key, {"deflated": store.values[key][20:]})
    for wrong in (link, other):
        with pytest.raises(CorruptData):
            await read(Cache(store), wrong)
        with pytest.raises(CorruptData):
            _ = [pages async for pages in Cache(store).read_paged(wrong)]
    found = await findings(store)
    assert {damage.key for damage in found if isinstance(damage, Damage)} >= {
        key,
        f"packed/{hash_id(changed)}",
        f"parts/{link.id}",
        f"parts/{other.id}",
    }
    assert Reference(key, f"packed/{hash_id(changed)}") in found


async def test_a_page_that_is_gone_is_missed(cache: Cache, store: DictStore) -> None:
    first = noise()
    link = await cache.write_paged(paged([first, ZERO]))
    other = await cache.write_paged(paged([touched(first), ZERO]), link)
    del store.values[f"packed/{hash_id(first)}"]
    for wrong in (link, other):
        with pytest.raises(CorruptData, match="gone"):
            await read(Cache(store), wrong)
    assert any(
        isinstance(found, Damage) and found.kind == "missing" for found in await findings(store)
    )


async def test_a_page_with_a_base_that_has_a_base_is_not_believed(
    cache: Cache, store: DictStore
) -> None:
    first = noise()
    link = await cache.write_paged(paged([first]))
    second, third = touched(first, 1), touched(first, 1, 2)
    await cache.write_paged(paged([second]), link)
    link = await cache.write_paged(paged([third]))
    key, base = f"packed/{hash_id(third)}", Link(hash_id(second), "binary", PAGE_BYTES)
    deflated = zlib.compress(difference(third, second))
    store.values[key] = encode(key, {"base": base, "deflated": deflated})
    with pytest.raises(CorruptData, match="differs from is gone"):
        await read(cache, link)


async def test_pages_stay_as_long_as_something_leads_to_them(
    cache: Cache, store: DictStore
) -> None:
    base = noise()
    old = await cache.write_paged(paged([base, ZERO, noise()]))
    link = await cache.write_paged(paged([touched(base), ZERO]), old)
    await cache.write(Message(body=link), names=["kept"])
    swept = swept_keys(await collect(Collector(cache)))
    assert f"parts/{old.id}" in swept
    assert f"packed/{hash_id(base)}" not in swept
    assert await read(cache, link) == touched(base) + ZERO
    assert await findings(store) == []
    assert swept_keys(await collect(Collector(cache))) == set()


async def test_what_nothing_leads_to_goes(cache: Cache, store: DictStore) -> None:
    await cache.write_paged(paged([noise(), ZERO]))
    await collect(Collector(cache))
    assert store.values == {}


async def test_what_is_written_while_garbage_is_collected_stays(
    cache: Cache, store: DictStore
) -> None:
    base = noise()
    old = await cache.write_paged(paged([base, noise()]))
    with Collector(cache) as collector:
        _ = [progress async for progress in collector.mark()]
        link = await cache.write_paged(paged([touched(base), ZERO]), old)
        await cache.write(Message(body=link), names=["kept"])
        _ = [swept async for swept in collector.sweep()]
    assert await read(cache, link) == touched(base) + ZERO
    assert await findings(store) == []


async def test_pages_are_copied_exported_and_repaired(cache: Cache, store: DictStore) -> None:
    base = noise()
    old = await cache.write_paged(paged([base, ZERO]))
    link = await cache.write_paged(paged([touched(base), ZERO]), old)
    target, imported = DictStore(), DictStore()
    assert not [found async for found in copy(store, target) if isinstance(found, Damage)]
    assert target.values == store.values
    lines = Lines()
    _ = [progress async for progress in export(store, lines)]
    _ = [progress async for progress in import_lines(lines, imported)]
    assert imported.values == store.values
    del target.values[f"packed/{hash_id(base)}"]
    _ = [r async for r in repair(target, store) if isinstance(r, Repair)]
    assert await read(Cache(target), link) == touched(base) + ZERO


class Lines:
    """A file in memory."""

    def __init__(self) -> None:
        self.data = b""

    async def write(self, data: bytes, /) -> None:
        self.data += data

    async def readlines(self, hint: int, /) -> list[bytes]:
        lines = self.data.splitlines(keepends=True)
        taken = 1 if hint == 1 else len(lines)
        self.data = b"".join(lines[taken:])
        assert HEAD.endswith(b"\n")
        return lines[:taken]


@settings(max_examples=30)
@given(st.binary(min_size=1, max_size=300), st.binary(min_size=1, max_size=300))
def test_a_page_comes_back_whatever_it_differs_from(content: bytes, other: bytes) -> None:
    for whole in (other, other[: len(content)].ljust(len(content), b"x")):
        ((_, stored),) = pack(hash_id(whole), whole, None).items()
        base = read_packed(hash_id(whole), stored)
        ((_, data),) = pack(hash_id(content), content, base).items()
        packed = read_packed(hash_id(content), data)
        assert Page(packed, base if packed.base else None).content() == content
