"""Who is in the house: connections and requests counted against their limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hyperbeam_trio.http.limits import Limits


class Evictable(Protocol):
    """A connection that can be closed while it is idle."""

    def close_idle(self) -> None:
        """End the connection soon, without waiting."""
        ...


@dataclass(frozen=True, slots=True)
class TrafficStatistics:
    """A snapshot: `connections`, `idle`, `requests` are now; the others count from the start."""

    connections: int
    idle: int
    requests: int
    accepted: int
    refused_connections: int
    answered: int
    refused_requests: int


class Traffic:
    """The connections and requests of one front door.

    It belongs to one Trio run; nothing in it waits. `draining` is set when the server stops:
    connections then end after the answer that they are at.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.draining = False
        self.requests = 0
        self._by_address: dict[str, int] = {}
        self._connections = 0
        self._idle: dict[Evictable, None] = {}
        self._accepted = self._answered = 0
        self._refused_connections = self._refused_requests = 0

    def enter(self, address: str) -> str | None:
        """Count a connection from `address` in; or say why it can't stay, and count it not."""
        reason = self._why_full(address)
        if reason is None:
            self._connections += 1
            self._accepted += 1
            self._by_address[address] = self._by_address.get(address, 0) + 1
        else:
            self._refused_connections += 1
        return reason

    def _why_full(self, address: str) -> str | None:
        if self._by_address.get(address, 0) >= self.limits.connections_per_address:
            return "There are too many connections from this address."
        if self._connections >= self.limits.connections and not self._evict():
            return "There are too many connections."
        return None

    def _evict(self) -> bool:
        oldest = next(iter(self._idle), None)
        if oldest is None:
            return False
        del self._idle[oldest]
        oldest.close_idle()
        return True

    def leave(self, address: str) -> None:
        """Count a connection out that `enter` has let in."""
        self._connections -= 1
        left = self._by_address[address] - 1
        if left:
            self._by_address[address] = left
        else:
            del self._by_address[address]

    def rest(self, connection: Evictable) -> None:
        """`connection` waits for a request; from now on it may be closed to make room."""
        self._idle[connection] = None

    def wake(self, connection: Evictable) -> None:
        """`connection` got a byte, or ends."""
        self._idle.pop(connection, None)

    def begin_request(self) -> bool:
        """Count a request in; false, and not counted, when too many are in flight."""
        if self.requests >= self.limits.requests:
            self._refused_requests += 1
            return False
        self.requests += 1
        return True

    def end_request(self) -> None:
        """Count a request out that `begin_request` has let in."""
        self.requests -= 1
        self._answered += 1

    def drain(self) -> None:
        """The server stops: close what is idle, and let the others end after their answer."""
        self.draining = True
        while self._evict():
            pass

    def statistics(self) -> TrafficStatistics:
        """What is going on now, and how much there was."""
        return TrafficStatistics(
            connections=self._connections,
            idle=len(self._idle),
            requests=self.requests,
            accepted=self._accepted,
            refused_connections=self._refused_connections,
            answered=self._answered,
            refused_requests=self._refused_requests,
        )
