"""How long a request's body may be waited for."""

from __future__ import annotations

import trio

from hyperbeam_trio.http.limits import Limits


class Patience:
    """A purse of seconds that waiting empties and arriving bytes fill.

    Only the time spent in waiting counts, so a handler that thinks between two parts does not
    use up its client's time.
    """

    __slots__ = ("_left", "_rate", "_since")

    def __init__(self, limits: Limits) -> None:
        self._left = limits.body_seconds
        self._rate = limits.body_rate
        self._since = 0.0

    def begin_wait(self) -> float:
        """Start to wait; the absolute Trio time at which patience ends."""
        self._since = trio.current_time()
        return self._since + self._left

    def end_wait(self, received: int) -> None:
        """`received` bytes came."""
        self._left += self._since - trio.current_time() + received / self._rate
