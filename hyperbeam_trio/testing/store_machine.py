"""Random operations on a store, compared with a dictionary (hypothesis finds short failures)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from hyperbeam_trio.store import Store

T = TypeVar("T")

PARTS = ("a", "A", "b", "a-b", "a.b", "é", "0", "00", "long-name", "long-nb", "Q" * 43, "~x")
KEYS = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map("/".join)
VALUES = st.one_of(
    st.binary(max_size=20), st.sampled_from([1, 5000, 100_000]).map(lambda size: b"v" * size)
)


class Opens(Protocol):
    """A contract suite, as far as it is needed here."""

    durable: bool

    async def open_store(self, where: Path) -> Store:
        """Open the store that belongs to a directory."""


class StoreMachine(RuleBasedStateMachine):
    """The rules. A subclass says which suite is run, and where its examples may work."""

    suite: ClassVar[Opens]
    root: ClassVar[Path]
    examples: ClassVar[Iterator[int]]

    def __init__(self) -> None:
        super().__init__()
        self.where = self.root / f"example-{next(self.examples)}"
        self.where.mkdir()
        self.model: dict[str, bytes] = {}
        self.store = self.run(lambda: self.suite.open_store(self.where))

    def run(self, call: Callable[[], Awaitable[T]]) -> T:
        async def await_it() -> T:
            return await call()

        return trio.from_thread.run(await_it)

    @rule(items=st.dictionaries(KEYS, VALUES, max_size=4))
    def put(self, items: dict[str, bytes]) -> None:
        self.run(lambda: self.store.put(items))
        self.model.update(items)

    @rule(key=KEYS, value=VALUES)
    def create(self, key: str, value: bytes) -> None:
        created = self.run(lambda: self.store.create(key, value))
        assert created == (key not in self.model)
        self.model.setdefault(key, value)

    @rule(keys=st.lists(KEYS, max_size=3))
    def delete(self, keys: list[str]) -> None:
        self.run(lambda: self.store.delete(keys))
        for key in keys:
            self.model.pop(key, None)

    @rule(key=KEYS)
    def read(self, key: str) -> None:
        expected = self.model.get(key)
        assert self.run(lambda: self.store.get(key)) == expected
        assert self.run(lambda: self.store.get_current(key)) == expected
        assert self.run(lambda: self.store.view(key, bytes)) == expected

    @rule(
        prefix=st.sampled_from(["", "a", "a/", "long-n", "é"]),
        after=st.one_of(st.just(""), KEYS),
    )
    def list_all(self, prefix: str, after: str) -> None:
        found = self.run(lambda: self.store.list(prefix, after=after))
        assert list(found) == self.expected(prefix, after)

    @rule(after=st.one_of(st.just(""), KEYS), limit=st.integers(0, 4))
    def list_some(self, after: str, limit: int) -> None:
        found = self.run(lambda: self.store.list(after=after, limit=limit))
        assert list(found) == self.expected("", after)[:limit]

    def expected(self, prefix: str, after: str) -> list[str]:
        return sorted(key for key in self.model if key.startswith(prefix) and key > after)

    @rule()
    def reopen(self) -> None:
        if self.suite.durable:
            self.run(self.store.close)
            self.store = self.run(lambda: self.suite.open_store(self.where))

    def teardown(self) -> None:
        self.run(self.store.close)


def run_random_operations(suite: Opens, where: Path, *, examples: int = 15) -> None:
    """Run the machine; call it in a thread of a Trio program, whose event loop the store lives in.

    Each example works in a directory of its own below `where`.
    """
    members = {"suite": suite, "root": where, "examples": count()}
    run_state_machine_as_test(
        type("Machine", (StoreMachine,), members),
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
