"""The node's front door: one call that serves a Handler until it is cancelled."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import Literal, get_args

import trio

from hyperbeam_trio.errors import ConfigError
from hyperbeam_trio.http.asgi import AsgiApplication, Mount
from hyperbeam_trio.http.exchange import Handler
from hyperbeam_trio.http.handover import Hypercorn
from hyperbeam_trio.http.hypercorn_door import HypercornDoor
from hyperbeam_trio.http.lifespan import running_lifespans
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.listener import (
    Address,
    Listener,
    addresses,
    adopt_listeners,
    open_listeners,
)
from hyperbeam_trio.http.traffic import Traffic

DoorName = Literal["trio", "hypercorn"]


async def serve(
    handler: Handler,
    host: str | None = "127.0.0.1",
    port: int = 8734,
    *,
    door: DoorName = "hypercorn",
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
    listeners = adopt_listeners(sockets) if sockets else await open_listeners(host, port)
    async with running_lifespans([mount.app for mount in mounts]):
        listener = _open_door(door, handler, traffic, tls, mounts)
        task_status.started(addresses(listeners))
        await listener.run(listeners)


def _open_door(
    door: DoorName,
    handler: Handler,
    traffic: Traffic,
    tls: ssl.SSLContext | None,
    mounts: Sequence[Mount],
) -> Listener:
    limits = traffic.limits
    app = AsgiApplication(handler, limits, mounts, traffic)
    front = HypercornDoor(Hypercorn(app, limits), limits, tls)
    return Listener(front.serve_connection, traffic, front.drain)
