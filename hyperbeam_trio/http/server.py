"""The node's front door: one call that serves a Handler until it is cancelled."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import Literal, get_args

import trio

from hyperbeam_trio.errors import ConfigError
from hyperbeam_trio.http.asgi import AsgiApplication, Mount
from hyperbeam_trio.http.connection import House
from hyperbeam_trio.http.exchange import Handler
from hyperbeam_trio.http.handover import Hypercorn
from hyperbeam_trio.http.hypercorn_door import HypercornDoor
from hyperbeam_trio.http.lifespan import running_lifespans
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.listener import Address, Door, Listener, addresses, open_sockets
from hyperbeam_trio.http.traffic import Traffic
from hyperbeam_trio.http.trio_door import TrioDoor
from hyperbeam_trio.http.watch import Watch

DoorName = Literal["trio", "hypercorn"]


async def serve(
    handler: Handler,
    host: str | None = "127.0.0.1",
    port: int = 8734,
    *,
    door: DoorName = "trio",
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
    mounts: Sequence[Mount] = (),
    sockets: Sequence[socket.socket] = (),
    traffic: Traffic | None = None,
    task_status: trio.TaskStatus[list[Address]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `handler` over HTTP/1.1, HTTP/2 and, with `tls`, HTTPS on the same port.

    `host` `None` is every interface, `port` 0 any free one; `sockets` that already listen are
    used instead. `mounts` are ASGI applications for some prefixes of targets. `traffic` may be
    passed in to read its statistics. The bound addresses are the value of `task_status`.

    Runs until cancelled: then it stops accepting, closes idle connections and gives requests in
    flight `limits.grace_seconds`. `ConfigError` when it can't listen.
    """
    if door not in get_args(DoorName):
        raise ConfigError(f"http-server is {door!r}; it can be 'trio' or 'hypercorn'.")
    traffic = traffic or Traffic(limits or Limits())
    bound = list(sockets) or await open_sockets(host, port)
    watch = Watch(traffic.limits)
    async with running_lifespans([mount.app for mount in mounts]), trio.open_nursery() as nursery:
        await nursery.start(watch.run)
        task_status.started(addresses(bound))
        await Listener(_open_door(door, handler, traffic, tls, mounts, watch), traffic).run(bound)


def _open_door(
    door: DoorName,
    handler: Handler,
    traffic: Traffic,
    tls: ssl.SSLContext | None,
    mounts: Sequence[Mount],
    watch: Watch,
) -> Door:
    limits = traffic.limits
    hypercorn = Hypercorn(AsgiApplication(handler, limits, mounts, traffic), limits)
    if door == "hypercorn":
        return HypercornDoor(hypercorn, limits, tls)
    return TrioDoor(House(handler, mounts, traffic, watch, hypercorn), tls)
