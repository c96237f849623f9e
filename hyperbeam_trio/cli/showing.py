"""How the command line prints values."""

from __future__ import annotations

import sys

import click

from hyperbeam_trio.codec.json import write_json
from hyperbeam_trio.message import Message, Value, as_text, describe, enumerated


def show(value: Value, as_json: bool) -> None:
    """Print a value: bytes as they are, a message as `key: value` lines or as JSON."""
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


def tell(text: str) -> None:
    """Print a line that may hold text of others, which may be none that can be printed."""
    click.echo(text.encode(errors="backslashreplace").decode())


def _shown(value: Value) -> str:
    """A value on one line: whole floats as integers, nested messages in a few words."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    text = as_text(value)
    return describe(value) if text is None else text
