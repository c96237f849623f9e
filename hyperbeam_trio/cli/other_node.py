"""A process as another node has it, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import httpx
import trio

from hyperbeam_trio.cli.asking import TIMEOUT, value_of
from hyperbeam_trio.errors import NotFound, RemoteError
from hyperbeam_trio.message import Message, Value, as_text

AT_ONCE: Final = 8
"""Questions that the other node is asked at the same time."""


class OtherNode:
    """Questions about one process to the node at `url`; an async context manager."""

    def __init__(self, url: str, process: str) -> None:
        self.url = url.rstrip("/")
        self._process = process
        self._client = httpx.AsyncClient(timeout=TIMEOUT, headers={"accept-bundle": "true"})
        self._limiter = trio.CapacityLimiter(AT_ONCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def ask(self, path: str) -> Value:
        """What the process answers to a path.

        Raises `NotFound` for what is not there, `RemoteError` for any other refusal.
        """
        url = f"{self.url}/{self._process}~process@1.0/{path}"
        try:
            async with self._limiter:
                answer = await self._client.get(url)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RemoteError(f"{self.url} did not answer: {error}") from None
        if answer.status_code == 404:
            raise NotFound(f"{self.url} does not have {path} of {self._process}.")
        if answer.status_code >= 400:
            text = answer.text.strip()[:500]
            raise RemoteError(f"{self.url} refused {path}: {answer.status_code} {text}")
        return value_of(answer)

    async def newest(self) -> int:
        """The newest slot; -1 where there is none."""
        told = as_text(await self.ask("slot/current")) or ""
        try:
            return int(told)
        except ValueError:
            raise RemoteError(f"{self.url} gives {told!r:.80} as the current slot.") from None

    async def state(self, slot: int) -> Message:
        """The state after a slot, all of it."""
        state = await self.ask(f"compute&slot={slot}")
        return state if isinstance(state, Message) else Message.of({"body": state})

    async def state_ids(self, slots: Sequence[int]) -> dict[int, str]:
        """The ids of the states after `slots`, without those that the node does not have."""
        found: dict[int, str] = {}

        async def ask(slot: int) -> None:
            try:
                found[slot] = as_text(await self.ask(f"compute&slot={slot}/id")) or ""
            except NotFound:
                return

        async with trio.open_nursery() as nursery:
            for slot in slots:
                nursery.start_soon(ask, slot)
        return found
