"""Worker processes of one node, all within the test's."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyperbeam_trio.service.siblings import Siblings, place_of


@contextmanager
def workers(place: Path, count: int) -> Iterator[list[Siblings]]:
    """So many, none of which answers yet."""
    listening = [socket.socket(socket.AF_UNIX) for _ in range(count)]
    try:
        for number, sock in enumerate(listening):
            sock.bind(place_of(place, number))
            sock.listen()
        yield [Siblings(number, count, place, sock) for number, sock in enumerate(listening)]
    finally:
        for sock in listening:
            sock.close()
