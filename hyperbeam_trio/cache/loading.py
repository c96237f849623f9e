"""Following links: a value's content, one level or all of it (spec/04 §6.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

import trio

from hyperbeam_trio.cache.flights import Flights
from hyperbeam_trio.cache.reading import Loaded, Reader
from hyperbeam_trio.cache.record import damaged
from hyperbeam_trio.codec.scalars import MAX_NESTING
from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.errors import HyperbeamError, NecessaryMessageNotFound, TooLarge
from hyperbeam_trio.message import Link, Message, Resolve, Value
from hyperbeam_trio.store import Store

READS_AT_ONCE: Final = 32
"""Reads under way for one `load_all`, where the store has to wait for its answers."""
READS_IN_A_ROW: Final = 256
"""Reads of a local store before other tasks get their turn."""


class Loader(Reader):
    """A reader that follows links."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._flights: Flights[Loaded | None] = Flights()

    async def load(self, value: Value) -> Value:
        """The content of a link, one level deep; any other value as it is.

        Tasks that load one link of a remote store at the same time share one read. Raises
        `NecessaryMessageNotFound` when the content is not stored, and `CorruptData`.
        """
        if not isinstance(value, Link):
            return value
        if self.store.scope == "local":
            content = await self._follow(value)
        else:
            content = await self._flights.share(value.id, partial(self._follow, value))
        if content is None:
            raise NecessaryMessageNotFound(value.id)
        return content

    async def load_binaries(self, message: Message) -> Message:
        """The message with its own large binaries loaded, as its encoding and id need them."""
        links = [v for v in message.values() if isinstance(v, Link) and v.kind == "binary"]
        if not links:
            return message
        contents = {link.id: await self.load(link) for link in links}
        return _Assembly(contents).binaries(message)

    async def load_all(self, value: Value) -> Value:
        """The value with every link in it loaded, however deep; equal ids are read once.

        Can be huge. Raises as `load` does, and `TooLarge` beyond 256 levels.
        """
        contents: dict[str, Value] = {}
        wanted = _links(value)
        for _ in range(MAX_NESTING + 1):
            missing = {link.id: link for link in wanted if link.id not in contents}
            if not missing:
                return _Assembly(contents).whole(value, 0)
            await self._load_into(contents, missing.values())
            wanted = (link for id in missing for link in _links(contents[id]))
        raise _too_deep()

    async def _follow(self, link: Link) -> Loaded | None:
        if link.kind == "message":
            return await self.read(link.id)
        content = await self._blob(link.id)
        if content is not None and len(content) != link.size:
            raise damaged(f"data/{link.id}", f"it has {len(content)} bytes, not {link.size}")
        return content

    async def _load_into(self, contents: dict[str, Value], links: Iterable[Link]) -> None:
        if self.store.scope == "local":
            for number, link in enumerate(links, 1):
                contents[link.id] = await self.load(link)
                if number % READS_IN_A_ROW == 0:
                    await trio.lowlevel.checkpoint()
            return
        failures: list[HyperbeamError] = []
        queue = iter(links)
        async with trio.open_nursery() as nursery:

            async def work() -> None:
                try:
                    for link in queue:
                        contents[link.id] = await self.load(link)
                except HyperbeamError as error:
                    failures.append(error)
                    nursery.cancel_scope.cancel()

            for _ in range(READS_AT_ONCE):
                nursery.start_soon(work)
        if failures:
            raise failures[0]


class _Assembly:
    """Puts loaded contents in the place of links; equal links share one object."""

    def __init__(self, contents: dict[str, Value]) -> None:
        self._contents = contents
        self._done: dict[str, Value] = {}

    def whole(self, value: Value, depth: int) -> Value:
        if depth > MAX_NESTING:
            raise _too_deep()
        if isinstance(value, Link):
            return self._linked(value, depth)
        if isinstance(value, Message):
            return self.message(value, depth)
        if isinstance(value, list):
            return [self.whole(item, depth + 1) for item in value]
        return value

    def binaries(self, message: Message) -> Message:
        """The message with the links replaced whose contents are here, at this level only."""
        get = self._contents.get
        return _reloaded_message(
            message, {k: get(v.id, v) if isinstance(v, Link) else v for k, v in message.items()}
        )

    def message(self, message: Message, depth: int) -> Message:
        loaded = {key: self.whole(value, depth + 1) for key, value in message.items()}
        return _reloaded_message(message, loaded)

    def _linked(self, link: Link, depth: int) -> Value:
        if link.id not in self._done:
            self._done[link.id] = self.whole(self._contents[link.id], depth)
        return self._done[link.id]


def _reloaded_message(message: Message, loaded: dict[str, Value]) -> Message:
    """The same message in another state of loading: its id and commitments stay."""
    other = message._like()
    other._items = loaded
    if not message.commitments:
        return other
    held = [_reloaded(commitment, message, other) for commitment in message.commitments.values()]
    return other.with_commitments(held)


def _reloaded(commitment: Commitment, message: Message, loaded: Message) -> Commitment:
    """What spoke for `message` speaks for the same message with its links loaded."""
    evidence = commitment.evidence
    if evidence is None or not evidence.covers(message):
        return commitment
    return commitment.with_evidence(
        replace(evidence, values={key: loaded[key] for key in evidence.values})
    )


def _links(value: Value) -> Iterator[Link]:
    """All links in a value, at any depth of what is loaded."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Link):
            yield item
        elif isinstance(item, Message):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, Resolve):
            waiting += item.sequence


def _too_deep() -> TooLarge:
    return TooLarge(f"The message is nested more than {MAX_NESTING} deep.")
