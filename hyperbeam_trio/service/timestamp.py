"""The timestamp service: the newest block, as far as is known (spec/05 §4.11, spec/07 §1.1)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import trio

from hyperbeam_trio.errors import RemoteError

if TYPE_CHECKING:
    from hyperbeam_trio.config import NodeConfig

log = logging.getLogger("hyperbeam_trio.service")

NO_HASH: Final = "A" * 43
REFRESH_SECONDS: Final = 15.0
FETCH_SECONDS: Final = 10.0
LONGEST_PAUSE: Final = 240.0

Fetch = Callable[[str], Awaitable[bytes]]
"""The body of what a URL gives; raises `RemoteError`, `OSError` or a timeout if there is none."""


@dataclass(frozen=True, slots=True)
class BlockTime:
    """The newest block: its time in seconds, its height, its hash as text.

    `offline` says that no gateway vouches for it now: it is the last one known, or, where none
    ever was, the clock of this machine at height 0.
    """

    timestamp: int
    height: int
    hash: str = NO_HASH
    offline: bool = False


class TimestampService:
    """Knows the newest block and asks a gateway for it every 15 seconds.

    In mode `debug` it is time 0 and height 0 for ever, and nobody is asked. In mode `prod` `fetch`
    asks the option `gateway`; nobody ever waits for it.
    """

    def __init__(
        self,
        config: NodeConfig,
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._debug = config.mode == "debug"
        self._url = config.gateway.rstrip("/") + "/block/current"
        self._fetch = fetch
        self._clock = clock
        self._block: BlockTime | None = None
        self._online = True

    def now(self) -> BlockTime:
        """The newest block that is known."""
        if self._debug:
            return BlockTime(0, 0)
        return self._block or BlockTime(int(self._clock()), 0, offline=True)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the block fresh until cancelled; ready at once."""
        task_status.started()
        if self._debug or self._fetch is None:
            await trio.sleep_forever()
        else:
            await self._refresh(self._fetch)

    async def _refresh(self, fetch: Fetch) -> None:
        pause = REFRESH_SECONDS
        while True:
            fresh = await self._ask(fetch)
            pause = REFRESH_SECONDS if fresh else min(2 * pause, LONGEST_PAUSE)
            await trio.sleep(pause)

    async def _ask(self, fetch: Fetch) -> bool:
        try:
            with trio.fail_after(FETCH_SECONDS):
                self._block = read_block(await fetch(self._url))
        except (RemoteError, OSError, trio.TooSlowError) as problem:
            reason = str(problem) or f"no answer in {FETCH_SECONDS:g} seconds"
            self._went_offline(reason)
            return False
        self._online = True
        return True

    def _went_offline(self, reason: str) -> None:
        if self._block is not None:
            self._block = replace(self._block, offline=True)
        # Once, not every time: a node may be offline for good.
        if self._online:
            log.warning("No block from %s: %s", self._url, reason)
        self._online = False


def read_block(body: bytes) -> BlockTime:
    """The block in a gateway's JSON; `RemoteError` names what is missing or malformed."""
    try:
        block = json.loads(body)
    except (ValueError, RecursionError):
        raise RemoteError("The gateway's block is not JSON.") from None
    if not isinstance(block, dict):
        raise RemoteError("The gateway's block is no JSON object.")
    return BlockTime(_count(block, "timestamp"), _count(block, "height"), _hash(block))


def _count(block: dict[str, Any], key: str) -> int:
    value = block.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RemoteError(f"The gateway's block has the {key} {value!r:.40}; expected a number.")
    return value


def _hash(block: dict[str, Any]) -> str:
    # 48 bytes, not the 32 of an id, so it goes through as the text that it is.
    value = block.get("indep_hash")
    if not isinstance(value, str) or not 43 <= len(value) <= 128 or not value.isascii():
        raise RemoteError(f"The gateway's block has the indep_hash {value!r:.40}.")
    return value
