"""`hyperbeam-trio put FILE`: a file as a message `{body: …}`, on a node or in a store."""

from __future__ import annotations

from pathlib import Path

import click
import trio

from hyperbeam_trio.cli.get import DEFAULT_NODE
from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.httpsig import encode
from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.crypto.key_file import load_wallet
from hyperbeam_trio.errors import BadRequest, HyperbeamError, RemoteError
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
    message = Message(body=_content(file))
    if content_type is not None:
        message = message.set({"content-type": content_type})
    if store:
        click.echo(trio.run(_write, message, list(store)))
    else:
        click.echo(trio.run(_upload, message, node or DEFAULT_NODE, wallet))


def _content(file: Path) -> bytes:
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
    from hyperbeam_trio.store import open_stores

    opened = await open_stores(NodeConfig(store=store).stores())
    try:
        return await Cache(opened).write(message)
    finally:
        await opened.close()


async def _upload(message: Message, node: str, wallet_file: str) -> str:
    import httpx

    wallet = load_wallet(wallet_file)
    request = Message({"path": "/~cache@1.0/write", "method": "POST", "body": message})
    signed = await commit_signed(request, wallet, limiter=trio.CapacityLimiter(1), bundle=True)
    encoded = encode(signed, bundle=True)
    headers = [(name, value) for name, value in encoded.headers]
    url = node.rstrip("/") + "/~cache@1.0/write"
    try:
        async with httpx.AsyncClient(timeout=120) as client:
            answer = await client.post(
                url, headers=[(n.encode(), v) for n, v in headers], content=encoded.body or b""
            )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RemoteError(f"{node} did not answer: {error}") from None
    if answer.status_code >= 400:
        raise HyperbeamError(f"{node} refused: {answer.status_code} {answer.text.strip()}")
    return unsigned_id(message)
