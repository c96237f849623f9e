"""Rates and times, as medians of several rounds with their spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Result:
    """One measured figure.

    `spread` is (largest - smallest) / median over the rounds; `note` says what a reader must know.
    """

    name: str
    value: float
    unit: str
    better: Literal["higher", "lower"] = "higher"
    spread: float = 0.0
    note: str = ""


def summary(
    name: str,
    values: list[float],
    unit: str,
    better: Literal["higher", "lower"] = "higher",
    note: str = "",
) -> Result:
    """The median of several rounds."""
    middle = statistics.median(values)
    spread = (max(values) - min(values)) / middle if middle else 0.0
    return Result(name, middle, unit, better, spread, note)


def rate(
    name: str, call: Callable[[], object], seconds: float, note: str = "", rounds: int = ROUNDS
) -> Result:
    """Calls a second of CPU time of this thread, each round `seconds` long."""
    return summary(name, [_round(call, seconds) for _ in range(rounds)], "/s", note=note)


def _round(call: Callable[[], object], seconds: float) -> float:
    count, batch = 0, 1
    begun = time.thread_time()
    while (spent := time.thread_time() - begun) < seconds:
        for _ in range(batch):
            call()
        count += batch
        batch = min(batch * 2, 4096)
    return count / spent


async def rate_async(
    name: str,
    call: Callable[[], Awaitable[object]],
    seconds: float,
    note: str = "",
    rounds: int = ROUNDS,
) -> Result:
    """`rate` for coroutine functions, awaited one after another."""
    values = [await _round_async(call, seconds) for _ in range(rounds)]
    return summary(name, values, "/s", note=note)


async def _round_async(call: Callable[[], Awaitable[object]], seconds: float) -> float:
    count, batch = 0, 1
    begun = time.thread_time()
    while (spent := time.thread_time() - begun) < seconds:
        for _ in range(batch):
            await call()
        count += batch
        batch = min(batch * 2, 1024)
    return count / spent
