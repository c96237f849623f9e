from hyperbeam_trio.cache.memo import Memo


def test_remembers_what_was_set() -> None:
    memo: Memo[str, int] = Memo(10)
    memo.set("a", 1)
    assert memo.get("a") == 1
    assert memo.get("b") is None


def test_forgets_what_was_not_used_for_long() -> None:
    memo: Memo[int, int] = Memo(10)
    for number in range(100):
        memo.set(number, number + 1)
        memo.get(0)
    assert memo.get(0) == 1
    assert memo.get(50) is None
    assert sum(memo.get(number) is not None for number in range(100)) <= 21


def test_forgets_on_demand() -> None:
    memo: Memo[str, int] = Memo(1)
    for name in ("a", "b", "c"):
        memo.set(name, 1)
        memo.discard(name)
        assert memo.get(name) is None
    memo.set("a", 1)
    memo.clear()
    assert memo.get("a") is None
