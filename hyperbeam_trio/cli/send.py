"""`hyperbeam-trio send PROCESS`: a message to a process, and what came of it (spec/05 §7)."""

from __future__ import annotations

import sys

import click
import trio

from hyperbeam_trio.cli.arguments import pairs_of, process_id
from hyperbeam_trio.cli.asking import DEFAULT_NODE, post, sign
from hyperbeam_trio.cli.showing import show
from hyperbeam_trio.crypto.key_file import load_wallet
from hyperbeam_trio.message import Message, Value


@click.command()
@click.argument("process")
@click.argument("keys", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--data", help="Its data; `-` reads the standard input.")
@click.option("--node", default=DEFAULT_NODE, show_default=True, metavar="URL")
@click.option("--wallet", default="hyperbeam-key.json", show_default=True, help="Signs it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, nested messages inside.")
def command(
    process: str, keys: tuple[str, ...], data: str | None, node: str, wallet: str, as_json: bool
) -> None:
    """Send a message to PROCESS, deliver what it sends on, and print its slot and results."""
    message = {
        "type": "Message",
        "target": process_id(process),
        "data-protocol": "ao",
        "variant": "ao.N.1",
    }
    if data is not None:
        message["data"] = sys.stdin.read() if data == "-" else data
    answer = trio.run(_send, Message({**message, **pairs_of(keys)}), node, wallet)
    show(answer, as_json)


async def _send(message: Message, node: str, wallet_file: str) -> Value:
    signed = await sign(message, load_wallet(wallet_file))
    return await post(node, f"/{message.text('target')}~process@1.0/push", signed)
