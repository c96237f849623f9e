"""`hyperbeam-trio start`: a node in the foreground until a signal ends it."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

import click
import trio

from hyperbeam_trio.config import NodeConfig


@click.command()
@click.option("--config", "files", multiple=True, metavar="FILE", help="TOML, JSON or flat file.")
@click.option("--port", type=int, help="Port to listen on; 0 takes any free one.")
@click.option("--host", help="Address to listen on.")
@click.option("--store", multiple=True, metavar="URI", help="Store; several make a tiered one.")
@click.option("--wallet", metavar="FILE", help="Key file; one that is missing is created.")
@click.option("--identity", type=click.Choice(["rsa", "ed25519"]), help="Kind of a new wallet.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Any other option.")
@click.option("--verbose", is_flag=True, help="Log every request.")
def command(
    files: tuple[str, ...],
    port: int | None,
    host: str | None,
    store: tuple[str, ...],
    wallet: str | None,
    identity: str | None,
    options: tuple[str, ...],
    verbose: bool,
) -> None:
    """Start a node and serve it over HTTP until SIGTERM or Ctrl-C."""
    flags: dict[str, Any] = dict(_name_and_value(option) for option in options)
    given = {"port": port, "host": host, "priv-key-location": wallet, "identity": identity}
    flags.update({name: value for name, value in given.items() if value is not None})
    if store:
        flags["store"] = list(store)
    config = NodeConfig.from_sources(files, os.environ, flags)
    logging.basicConfig(
        level=logging.DEBUG if verbose else config.log_level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    trio.run(_serve, config)


def _name_and_value(option: str) -> tuple[str, str]:
    name, equals, value = option.partition("=")
    if not equals:
        raise click.BadParameter(f"{option!r} has no value; write NAME=VALUE.")
    return name, value


async def _serve(config: NodeConfig) -> None:
    from hyperbeam_trio.http.service import serve_node
    from hyperbeam_trio.node import open_node

    async with open_node(config) as node, trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
        addresses = await nursery.start(serve_node, node)
        for url in addresses:
            click.echo(f"url:     {url}")
        click.echo(f"address: {node.address}")
        click.echo(f"store:   {node.store.describe()}")


async def _stop_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            logging.getLogger("hyperbeam_trio").info("%s: stopping", signal.Signals(number).name)
            scope.cancel()
