"""`hyperbeam-trio put FILE`: a file as a message `{body: …}`, on a node or in a store."""

from __future__ import annotations

from pathlib import Path

import click
import trio

from hyperbeam_trio.cli.asking import DEFAULT_NODE, post, sign
from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.crypto.key_file import load_wallet
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--node", metavar="URL", help=f"Upload to this node (default {DEFAULT_NODE}).")
@click.option("--store", multiple=True, metavar="URI", help="Write to this store instead.")
@click.option("--wallet", default="hyperbeam-key.json", show_default=True, help="Signs the upload.")
@click.option("--content-type", help="Kept with the file as its `content-type`.")
def command(
    file: Path, node: str | None, store: tuple[str, ...], wallet: str, content_type: str | None
) -> None:
    """Upload FILE and print the id of the message that holds it.

    WebAssembly text (`.wat`) is assembled first. A node takes uploads from its `cache-writers`,
    by default only from the holder of its own wallet.
    """
    if node is not None and store:
        raise click.UsageError("--node and --store exclude each other.")
    message = Message(body=content_of(file))
    if content_type is not None:
        message = message.set({"content-type": content_type})
    if store:
        click.echo(trio.run(_write, message, list(store)))
    else:
        click.echo(trio.run(upload, message, node or DEFAULT_NODE, load_wallet(wallet)))


def content_of(file: Path) -> bytes:
    """What a file holds; WebAssembly text as the module that it is."""
    data = file.read_bytes()
    if file.suffix != ".wat":
        return data
    import wasmtime

    try:
        return bytes(wasmtime.wat2wasm(data))
    except wasmtime.WasmtimeError as error:
        raise BadRequest(f"{file} can't be assembled: {error}") from None


async def _write(message: Message, store: list[str]) -> str:
    from hyperbeam_trio.cache import Cache
    from hyperbeam_trio.cli.store_view import opened_specs

    async with opened_specs(NodeConfig(store=store).stores(), to_write=True) as opened:
        return await Cache(opened).write(message)


async def upload(message: Message, node: str, wallet: Wallet) -> str:
    """Write the message into the cache of a node; its id."""
    request = Message({"path": "/~cache@1.0/write", "method": "POST", "body": message})
    await post(node, "/~cache@1.0/write", await sign(request, wallet))
    return unsigned_id(message)
