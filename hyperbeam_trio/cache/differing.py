"""Whether two stores hold the same, in bounded memory, from wherever one stopped."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from hyperbeam_trio.cache.layout import NAMESPACES
from hyperbeam_trio.cache.walk import Progress, Walk, read_window, windows
from hyperbeam_trio.store import Store

_PLACE: Final = {namespace: place for place, namespace in enumerate(NAMESPACES)}


@dataclass(frozen=True, slots=True)
class Difference:
    """A key that only one store has, or under which they hold different or damaged values."""

    key: str
    kind: Literal["only left", "only right", "value"]


async def diff(
    left: Store, right: Store, *, after: str = ""
) -> AsyncGenerator[Progress | Difference, None]:
    """Compare all that lies behind the key `after`, byte for byte.

    Yields a `Progress` after each batch; its `count` are keys, its `size` bytes of the left values.
    Memory: a batch of keys of each and a few values, or one binary of each if that is larger.
    """
    done = Progress(after)
    sides = _Side(left, after), _Side(right, after)
    while (bound := await _bound(sides)) is not None:
        here, there = (side.take(bound) for side in sides)
        for key in sorted(here ^ there, key=_order):
            yield Difference(key, "only left" if key in here else "only right")
        size = 0
        for window in windows(sorted(here & there, key=_order)):
            found = await read_window(left, window)
            others = await read_window(right, window)
            for (key, value), (_, other) in zip(found, others, strict=True):
                size += len(value) if isinstance(value, bytes) else 0
                if not isinstance(value, bytes) or value != other:
                    yield Difference(key, "value")
        done = done.plus(bound, len(here | there), size)
        yield done


class _Side:
    """The keys of one store that are next."""

    def __init__(self, store: Store, after: str) -> None:
        self._walk = Walk(store, after=after)
        self.keys: Sequence[str] = ()

    async def fill(self) -> None:
        if not self.keys:
            self.keys = await self._walk.more()

    def take(self, bound: str) -> set[str]:
        """The keys up to `bound`, which is one of either side."""
        end = bisect_right(self.keys, _order(bound), key=_order)
        taken, self.keys = self.keys[:end], self.keys[end:]
        return set(taken)


async def _bound(sides: Sequence[_Side]) -> str | None:
    """The last key that both sides know all keys up to; `None` at the end of both."""
    for side in sides:
        await side.fill()
    return min((side.keys[-1] for side in sides if side.keys), key=_order, default=None)


def _order(key: str) -> tuple[int, bytes]:
    """The order of a walk: namespaces as they are copied, bytes inside."""
    namespace = key.partition("/")[0] + "/"
    return _PLACE[namespace], key.encode()
