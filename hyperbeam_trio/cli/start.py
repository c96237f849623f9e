"""`hyperbeam-trio start`: a node in the foreground until a signal ends it."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import trio

from hyperbeam_trio.cli.arguments import pairs_of
from hyperbeam_trio.cli.logs import configure_logs
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.http.file_limit import raise_file_limit

if TYPE_CHECKING:
    from hyperbeam_trio.http.processes import Inheritance


@click.command()
@click.option("--config", "files", multiple=True, metavar="FILE", help="TOML, JSON or flat file.")
@click.option("--port", type=int, help="Port to listen on; 0 takes any free one.")
@click.option("--host", help="Address to listen on.")
@click.option("--store", multiple=True, metavar="URI", help="Store; several make a tiered one.")
@click.option("--wallet", metavar="FILE", help="Key file; one that is missing is created.")
@click.option("--identity", type=click.Choice(["rsa", "ed25519"]), help="Kind of a new wallet.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Any other option.")
@click.option("--processes", type=int, help="Worker processes that share the port.")
@click.option("--verbose", is_flag=True, help="Log every request.")
@click.option("--inherit", hidden=True, help="For workers: their sockets and their lifeline.")
def command(
    files: tuple[str, ...],
    port: int | None,
    host: str | None,
    store: tuple[str, ...],
    wallet: str | None,
    identity: str | None,
    options: tuple[str, ...],
    processes: int | None,
    verbose: bool,
    inherit: str | None,
) -> None:
    """Start a node and serve it over HTTP until SIGTERM or Ctrl-C."""
    flags: dict[str, Any] = {**pairs_of(options)}
    given: dict[str, Any] = {"port": port, "host": host, "processes": processes}
    given |= {"priv-key-location": wallet, "identity": identity}
    flags.update({name: value for name, value in given.items() if value is not None})
    if store:
        flags["store"] = list(store)
    config = NodeConfig.from_sources(files, os.environ, flags)
    configure_logs("debug" if verbose else config.log_level, config.log_format)
    raise_file_limit()
    if inherit is not None:
        trio.run(_work, config, inherit)
    elif config.processes > 1:
        trio.run(_supervise, config)
    else:
        trio.run(_serve, config)


async def _serve(config: NodeConfig) -> None:
    """One process: the node and its port."""
    from hyperbeam_trio.http.service import serve_node
    from hyperbeam_trio.node import open_node

    async with open_node(config) as node, trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
        urls = await nursery.start(serve_node, node)
        _greet(urls, node.address, node.store.describe())


def _greet(urls: Sequence[str], address: str, store: str) -> None:
    for url in urls:
        click.echo(f"url:     {url}")
    click.echo(f"address: {address}")
    click.echo(f"store:   {store}")


async def _supervise(config: NodeConfig) -> None:
    """Several processes: this one holds the sockets and keeps the workers alive."""
    from hyperbeam_trio.crypto.key_file import load_or_create
    from hyperbeam_trio.http.listener import addresses
    from hyperbeam_trio.http.processes import open_shares, supervise
    from hyperbeam_trio.http.service import url_of

    path = str(config.priv_key_location)
    wallet = await trio.to_thread.run_sync(load_or_create, path, config.identity)
    shares = await open_shares(config.host, config.port, config.processes)
    listening = addresses(shares[0])
    stores = ", ".join(map(str, config.stores()))
    _greet([url_of(*address) for address in listening], wallet.address, stores)
    await supervise(_worker_command, shares, grace_seconds=config.http_grace_seconds + 5)


def _worker_command(inheritance: Inheritance) -> list[str]:
    handed = inheritance.as_text()
    return [sys.executable, "-m", "hyperbeam_trio", *sys.argv[1:], "--inherit", handed]


async def _work(config: NodeConfig, inherit: str) -> None:
    """One worker of several, on the sockets that it was handed."""
    from hyperbeam_trio.http.processes import Inheritance
    from hyperbeam_trio.http.service import serve_node
    from hyperbeam_trio.node import open_node
    from hyperbeam_trio.starting import answer_siblings

    handed = Inheritance.read(inherit)
    async with AsyncExitStack() as stack:
        # Whoever is stopped before it serves has not handed them on.
        sockets = [stack.enter_context(sock) for sock in handed.open_sockets()]
        node = await stack.enter_async_context(open_node(config))
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
        nursery.start_soon(_stop_orphaned, handed, nursery.cancel_scope)
        await nursery.start(answer_siblings, node, handed.siblings())
        await nursery.start(partial(serve_node, node, sockets=sockets))


async def _stop_orphaned(handed: Inheritance, scope: trio.CancelScope) -> None:
    await handed.wait_orphaned()
    scope.cancel()


async def _stop_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            logging.getLogger("hyperbeam_trio").info("%s: stopping", signal.Signals(number).name)
            scope.cancel()
