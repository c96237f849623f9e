"""Replaying a process from what a store has of its schedule, and nothing that was computed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

import trio

from hyperbeam_trio.cache.layout import NAME, RESULT, escape
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.crypto.key_file import generate_wallet
from hyperbeam_trio.errors import ConfigError, HyperbeamError
from hyperbeam_trio.message import Message
from hyperbeam_trio.node import Node, open_node
from hyperbeam_trio.store import Store, open_store

SCRATCH: Final = "memory:?capacity=128MiB"
"""Where the replaying node writes; what it wrote long ago is dropped, since nobody reads it."""

_LAST: Final = "\U0010ffff"
"""Behind all that keys are made of."""


def states_name(process: str) -> str:
    """What the names of a process's computed states begin with (spec/05 §3)."""
    return f"computed/{process}/slot/"


class ReplayStore(Store):
    """A store without its results and the states of one process; writes go to another one.

    Schedules, definitions and modules are read from `source`, which is never written.
    """

    def __init__(self, source: Store, scratch: Store, process: str) -> None:
        self._source = source
        self._scratch = scratch
        self._hidden = (RESULT, NAME + escape(f"computed/{process}") + "/")

    @classmethod
    async def open(cls, location: str, options: Mapping[str, object]) -> Self:
        raise ConfigError("A replay is made of two open stores, not of a location.")

    async def get(self, key: str) -> bytes | None:
        value = await self._scratch.get(key)
        if value is None and not key.startswith(self._hidden):
            value = await self._source.get(key)
        return value

    async def get_current(self, key: str) -> bytes | None:
        value = await self._scratch.get(key)
        if value is None and not key.startswith(self._hidden):
            value = await self._source.get_current(key)
        return value

    async def put(self, items: Mapping[str, bytes]) -> None:
        await self._scratch.put(items)

    async def create(self, key: str, value: bytes) -> bool:
        return await self.get(key) is None and await self._scratch.create(key, value)

    async def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[str]:
        found = set(await self._scratch.list(prefix, after=after, limit=limit))
        found.update(await self._seen(prefix, after, limit))
        return sorted(found, key=str.encode)[:limit]

    async def _seen(self, prefix: str, after: str, limit: int | None) -> Sequence[str]:
        """The first keys of the source that are not hidden."""
        found: list[str] = []
        while not prefix.startswith(self._hidden):
            keys = await self._source.list(prefix, after=after, limit=limit)
            found += [key for key in keys if not key.startswith(self._hidden)]
            if limit is None or len(keys) < limit or len(found) >= limit:
                break
            hidden = [begin for begin in self._hidden if keys[-1].startswith(begin)]
            after = hidden[0] + _LAST if hidden else keys[-1]
        return found

    async def delete(self, keys: Sequence[str]) -> None:
        await self._scratch.delete(keys)

    async def close(self) -> None:
        await self._scratch.close()

    def describe(self) -> str:
        return f"a replay of {self._source.describe()}"


@asynccontextmanager
async def replaying_node(source: Store, process: str, config: NodeConfig) -> AsyncIterator[Node]:
    """A node that computes a process anew; its options are those of `config`, without hooks."""
    store = ReplayStore(source, await open_store(SCRATCH), process)
    quiet = config.with_options({"on": {}, "process-workers": True})
    try:
        async with open_node(quiet, store=store, wallet=generate_wallet("ed25519")) as node:
            yield node
    finally:
        await store.close()


async def replayed(node: Node, process: str, slots: range) -> list[Message | HyperbeamError]:
    """The states after `slots`, which go on where the last ones ended; an error is in its place.

    They are asked for together, since a node rests, and writes a snapshot, when nobody waits.
    """
    found: dict[int, Message | HyperbeamError] = {}

    async def ask(slot: int) -> None:
        try:
            state = await node.resolve(f"/{process}~process@1.0/compute={slot}")
        except HyperbeamError as error:
            found[slot] = error
            return
        if not isinstance(state, Message):
            state = Message.of({"body": state})
        found[slot] = state

    async with trio.open_nursery() as nursery:
        for slot in slots:
            nursery.start_soon(ask, slot)
    return [found[slot] for slot in slots]
