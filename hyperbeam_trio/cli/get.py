"""`hyperbeam-trio get HYPERPATH`: one answer, from a node or computed here on a store."""

from __future__ import annotations

import click
import trio

from hyperbeam_trio.cli.asking import DEFAULT_NODE, fetch, request
from hyperbeam_trio.cli.showing import show
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.errors import KeyNotFound, NotFound


@click.command()
@click.argument("hyperpath")
@click.option("--node", metavar="URL", help=f"Ask this node (default {DEFAULT_NODE}).")
@click.option("--store", multiple=True, metavar="URI", help="Compute here, on this store.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, nested messages inside.")
def command(hyperpath: str, node: str | None, store: tuple[str, ...], as_json: bool) -> None:
    """Resolve HYPERPATH and print the result; a message as `key: value` lines or as JSON."""
    if node is not None and store:
        raise click.UsageError("--node and --store exclude each other.")
    path = hyperpath if hyperpath.startswith("/") else f"/{hyperpath}"
    if store:
        trio.run(_compute, path, list(store), as_json)
    else:
        trio.run(_ask, node or DEFAULT_NODE, path, as_json)


async def _compute(path: str, store: list[str], as_json: bool) -> None:
    from hyperbeam_trio.crypto.key_file import generate_wallet
    from hyperbeam_trio.node import open_node

    wallet = generate_wallet("ed25519")
    async with open_node(NodeConfig(store=store), wallet=wallet) as node:
        try:
            value = await node.resolve(path)
        except KeyNotFound as error:
            raise NotFound(f"{', '.join(store)} has nothing at {path}: {error}") from None
        value = await node.cache.load_all(value) if as_json else value
    show(value, as_json)


async def _ask(node: str, path: str, as_json: bool) -> None:
    if as_json:
        headers = [(b"accept-bundle", b"true"), (b"require-codec", b"application/json")]
        click.echo((await request(node, "GET", path, headers)).text)
    else:
        show(await fetch(node, path), as_json=False)
