"""`hyperbeam-trio wallet`: key files (spec/07 §1.3)."""

from __future__ import annotations

import click

from hyperbeam_trio.crypto.key_file import generate_wallet, load_wallet, save_wallet

DEFAULT_FILE = "hyperbeam-key.json"
_FILE = click.argument("file", default=DEFAULT_FILE, type=click.Path(dir_okay=False))


@click.group()
def command() -> None:
    """Make or look at a key file; private numbers are never shown."""


@command.command()
@_FILE
@click.option("--kind", type=click.Choice(["rsa", "ed25519", "secp256k1"]), default="rsa")
def new(file: str, kind: str) -> None:
    """Make FILE (hyperbeam-key.json) with a new key, readable by its owner only."""
    wallet = generate_wallet(kind)
    save_wallet(wallet, file)
    click.echo(wallet.address)


@command.command()
@_FILE
def show(file: str) -> None:
    """Say what FILE holds: kind, address and keyid."""
    wallet = load_wallet(file)
    click.echo(f"kind:    {wallet.kind}\naddress: {wallet.address}\nkeyid:   {wallet.keyid}")


@command.command()
@_FILE
def address(file: str) -> None:
    """Print the address of the key in FILE."""
    click.echo(load_wallet(file).address)
