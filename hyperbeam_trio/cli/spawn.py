"""`hyperbeam-trio spawn FILE`: a new process whose program is a file (spec/05 §1)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import click
import trio

from hyperbeam_trio.cli.arguments import pairs_of
from hyperbeam_trio.cli.asking import DEFAULT_NODE, fetch, post, sign
from hyperbeam_trio.cli.put import content_of, upload
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.encoding import to_base64url
from hyperbeam_trio.crypto.key_file import load_wallet
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message

_GUEST: Final = {
    "execution-device": "stack@1.0",
    "device-stack": ["wasi@1.0", "json-iface@1.0", "wasm-64@1.0", "multipass@1.0"],
    "stack-keys": ["init", "compute", "snapshot", "normalize"],
    "output-prefix": "wasm",
    "passes": 2,
}
"""How modules with the calling convention of aos are run (spec/06 §4)."""


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("keys", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--node", default=DEFAULT_NODE, show_default=True, metavar="URL")
@click.option("--wallet", default="hyperbeam-key.json", show_default=True, help="Signs it.")
def command(file: Path, keys: tuple[str, ...], node: str, wallet: str) -> None:
    """Start a process whose program is FILE, and print its id.

    A `.lua` file defines `compute(base, assignment)`; a `.wasm` or `.wat` file is a module with
    the calling convention of aos. KEY=VALUE adds to the definition of the process or replaces
    what it would say, e.g. `scheduler=ADDRESS` for another node's.
    """
    click.echo(trio.run(_spawn, file.suffix, content_of(file), pairs_of(keys), node, wallet))


async def _spawn(
    kind: str, program: bytes, keys: dict[str, str], node: str, wallet_file: str
) -> str:
    wallet = load_wallet(wallet_file)
    address = await fetch(node, "/~meta@1.0/info/address")
    definition: dict[str, Any] = {
        "device": "process@1.0",
        "type": "Process",
        "data-protocol": "ao",
        "variant": "ao.N.1",
        "scheduler": address,
        "authority": address,
        "random-seed": to_base64url(os.urandom(16)),
    }
    if kind == ".lua":
        module = Message({"content-type": "application/lua", "body": program})
        definition |= {"execution-device": "lua@5.3a", "module": module}
    elif kind in (".wasm", ".wat"):
        definition |= {**_GUEST, "image": await upload(Message(body=program), node, wallet)}
    else:
        raise BadRequest(f"A {kind or 'nameless'} file is no program; expected .lua or .wasm.")
    signed = await sign(Message({**definition, **keys}), wallet)
    await post(node, "/~scheduler@1.0/schedule", signed)
    return signed_id(signed)
