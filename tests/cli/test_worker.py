"""One worker of several, as `start --processes` runs it."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from pathlib import Path

import trio
import trio.testing

from hyperbeam_trio.cli.start import _work
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.http.processes import Inheritance, open_shares
from hyperbeam_trio.service.siblings import place_of


def listening(place: Path, number: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(place_of(place, number))
    sock.listen()
    return sock


async def test_one_whose_supervisor_dies_ends_even_while_it_waits_for_the_first(
    tmp_path: Path,
) -> None:
    config = NodeConfig(store=["memory:"], priv_key_location=str(tmp_path / "key.json"))
    place = tmp_path / "place"
    place.mkdir()
    lifeline, held = os.pipe()
    (share,) = await open_shares("127.0.0.1", 0, 1)
    with ExitStack() as stack:
        first = stack.enter_context(listening(place, 0))
        sockets = tuple([sock.detach() for sock in share])
        own = listening(place, 1).detach()
        handed = Inheritance(sockets, lifeline, 1, 2, own, str(place))
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_work, config, handed.as_text())
                asking, _ = await trio.socket.from_stdlib_socket(first).accept()
                stack.callback(asking.close)
                os.close(held)
    os.close(lifeline)
    assert not place.exists()
