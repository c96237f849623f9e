"""`hyperbeam-trio get HYPERPATH`: one answer, from a node or computed here on a store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

import click
import trio

from hyperbeam_trio.codec.json import write_json
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.errors import HyperbeamError, NotFound, RemoteError
from hyperbeam_trio.message import Message, Value, as_text, describe, enumerated

if TYPE_CHECKING:
    import httpx

DEFAULT_NODE = "http://127.0.0.1:8734"

_TRANSPORT = frozenset({"content-length", "date", "server", "status", "cache-status", "connection"})


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
        _ask(node or DEFAULT_NODE, path, as_json)


async def _compute(path: str, store: list[str], as_json: bool) -> None:
    from hyperbeam_trio.crypto.key_file import generate_wallet
    from hyperbeam_trio.node import open_node

    wallet = generate_wallet("ed25519")
    async with open_node(NodeConfig(store=store), wallet=wallet) as node:
        value = await node.resolve(path)
        value = await node.cache.load_all(value) if as_json else value
    _print(value, as_json)


def _print(value: Value, as_json: bool) -> None:
    if as_json:
        message = value if isinstance(value, Message) else Message.of({"body": value})
        click.echo(write_json(message, bundle=True))
    elif isinstance(value, bytes):
        sys.stdout.buffer.write(value)
        if sys.stdout.isatty():
            click.echo()
    elif isinstance(value, Message | list):
        message = value if isinstance(value, Message) else enumerated(value)
        for key in sorted(message):
            click.echo(f"{key}: {_shown(message[key])}")
    else:
        click.echo(_shown(value))


def _shown(value: Value) -> str:
    """A value on one line: whole floats as integers, nested messages in a few words."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    text = as_text(value)
    return describe(value) if text is None else text


def _ask(node: str, path: str, as_json: bool) -> None:
    import httpx

    headers = {"accept-bundle": "true"}
    if as_json:
        headers["require-codec"] = "application/json"
    try:
        answer = httpx.get(node.rstrip("/") + path, headers=headers, timeout=120)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RemoteError(f"{node} did not answer: {error}") from None
    if answer.status_code >= 400:
        _fail(answer.status_code, answer.text)
    if as_json:
        click.echo(answer.text)
    else:
        _print(_result(answer), as_json=False)


def _result(answer: httpx.Response) -> Value:
    """The value that an answer carries: its one key, or the message without transport keys."""
    from hyperbeam_trio.codec.httpsig import HTTPSIG

    pairs = [(name.decode().lower(), value) for name, value in answer.headers.raw]
    message = HTTPSIG.decode(pairs, answer.content or None)
    single = message.text("ao-result", None)
    if single is not None:
        return message.get(single, b"")
    return Message.of({k: v for k, v in message.items() if not _is_transport(k)})


def _is_transport(key: str) -> bool:
    return key in _TRANSPORT or key.startswith("access-control-")


def _fail(status: int, text: str) -> NoReturn:
    if status == 404:
        raise NotFound(text.strip() or "not found")
    raise HyperbeamError(f"status {status}: {text.strip()}", status=status)
