"""What a replay sees of a store, and what it hides."""

from __future__ import annotations

import pytest

from hyperbeam_trio.cli.replay import ReplayStore
from hyperbeam_trio.errors import ConfigError
from tests.support.dict_store import DictStore

PROCESS = "p" * 43
HIDDEN = [f"name/computed/{PROCESS}/slot/{slot}" for slot in range(5)] + ["result/a", "result/b"]
SEEN = ["data/x", "message/m", "name/computed/other/slot/0", "name/z"]


class _Counting(DictStore):
    """Counts how often it is asked for a list."""

    lists = 0

    async def list(self, *arguments: str, **options: object) -> list[str]:
        self.lists += 1
        return list(await super().list(*arguments, **options))


@pytest.fixture
async def source() -> _Counting:
    store = _Counting()
    await store.put(dict.fromkeys([*HIDDEN, *SEEN], b"source"))
    return store


@pytest.fixture
async def replay(source: _Counting) -> ReplayStore:
    scratch = DictStore()
    await scratch.put({"name/a": b"scratch", "result/b": b"scratch", "data/x": b"scratch"})
    return ReplayStore(source, scratch, PROCESS)


ALL = sorted([*SEEN, "name/a", "result/b"])


@pytest.mark.parametrize("prefix", ["", "name/", "result/", "name/computed/", "message/"])
@pytest.mark.parametrize("after", ["", "message/m", "name/computed/other/slot/0"])
@pytest.mark.parametrize("limit", [None, 0, 1, 2, 3, 100])
async def test_a_list_has_as_many_keys_as_were_asked_for(
    replay: ReplayStore, prefix: str, after: str, limit: int | None
) -> None:
    expected = [key for key in ALL if key.startswith(prefix) and key > after][:limit]
    assert await replay.list(prefix, after=after, limit=limit) == expected


async def test_what_is_hidden_is_passed_over_at_once(
    replay: ReplayStore, source: _Counting
) -> None:
    assert await replay.list("name/", after="name/a", limit=1) == ["name/computed/other/slot/0"]
    assert await replay.list("name/computed/p", limit=1) == []
    assert source.lists == 3


async def test_values_are_those_of_the_replay_and_else_the_sources(replay: ReplayStore) -> None:
    assert await replay.get("data/x") == b"scratch"
    assert await replay.get("message/m") == b"source"
    assert await replay.get(HIDDEN[0]) is None
    assert await replay.get_current("result/a") is None


async def test_nothing_is_written_to_the_source(replay: ReplayStore, source: _Counting) -> None:
    before = dict(source.values)
    await replay.put({"data/new": b"new"})
    assert await replay.create(HIDDEN[0], b"anew")
    assert not await replay.create("message/m", b"anew")
    await replay.delete(["data/x"])
    assert source.values == before


async def test_it_is_made_of_stores_not_of_a_location() -> None:
    with pytest.raises(ConfigError):
        await ReplayStore.open("somewhere", {})
