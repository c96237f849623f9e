"""What a front door lets in, and for how long (spec/07 §3.1, spec/09 §2.4)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from hyperbeam_trio.errors import ConfigError

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a front door; times in seconds, sizes in bytes; all but the grace above zero.

    - `head_bytes`: request line and headers of one request together; more is 431 (414 when the
      request line alone is longer). One value may take all of it.
    - `header_count`: headers of one request; more is 431.
    - `body_bytes`: a request's body; more is 413.
    - `connections`: open at once. Beyond it the longest idle one is closed, and when none is idle
      the newcomer gets 503.
    - `connections_per_address`: open at once from one address; a newcomer beyond it gets 503. It
      is near `connections` because a reverse proxy makes all clients one address.
    - `requests`: being answered at once; more get 503 with `retry-after: retry_after`.
    - `idle_seconds`: a connection without a request is closed after it.
    - `head_seconds`: from a request's first byte to the end of its head; later is 408.
    - `body_seconds`, `body_rate`: a body may be waited for `body_seconds` in all, and one second
      longer for every `body_rate` bytes that came; longer is 408.
    - `write_seconds`: for a client to take 64 KiB of the answer; a slower one is cut off.
    - `handshake_seconds`: for TLS to be agreed.
    - `grace_seconds`: for requests in flight when the server stops; 0 cuts them off.
    """

    head_bytes: int = MIB
    header_count: int = 1000
    body_bytes: int = 64 * MIB
    connections: int = 16_384
    connections_per_address: int = 12_288
    requests: int = 1024
    retry_after: int = 1
    idle_seconds: float = 300.0
    head_seconds: float = 30.0
    body_seconds: float = 30.0
    body_rate: int = KIB
    write_seconds: float = 30.0
    handshake_seconds: float = 20.0
    grace_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if not value > 0 and not (name == "grace_seconds" and value == 0):
                raise ConfigError(f"The limit {name} is {value!r}; it must be above zero.")
