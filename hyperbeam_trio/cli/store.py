"""`hyperbeam-trio store …`: look at stores, prove them, move them, tidy them (spec/04 §11, §12).

Findings go to stdout, progress to stderr. A store is given by its URI. Walks work in bounded memory
and can be resumed: one that stops prints the key to go on from with `--after`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click
import trio

from hyperbeam_trio.cli import store_care, store_moves, store_view


def _run(command: Callable[..., Coroutine[Any, Any, bool]], *arguments: object) -> None:
    """Run a command; exit status 1 when it says that not all is well."""
    if not trio.run(command, *arguments):
        sys.exit(1)


_after = click.option("--after", default="", metavar="KEY", help="Go on behind this store key.")


@click.group()
def command() -> None:
    """Look at stores, prove them intact, move them and tidy them."""


@command.command()
@click.argument("uri")
def stat(uri: str) -> None:
    """Count what a store holds, by sort, with its size."""
    _run(store_view.stat, uri)


@command.command()
@click.argument("uri")
@click.argument("prefix", default="name/")
@click.option(
    "--limit", type=click.IntRange(1), default=1000, show_default=True, help="Most keys to print."
)
@_after
def ls(uri: str, prefix: str, limit: int, after: str) -> None:
    """List store keys that begin with PREFIX, a name with the id it stands for.

    Prefixes: data/, message/, commitments/ID/, alias/, result/, and name/ if none is given.
    """
    _run(store_view.ls, uri, prefix, limit, after)


@command.command()
@click.argument("uri")
@_after
@click.option("--allow-missing", is_flag=True, help="Links to what is not stored are no damage.")
def verify(uri: str, after: str, allow_missing: bool) -> None:
    """Hash everything again; print what is damaged or missing, and what points at it.

    Ends with status 1 if anything is.
    """
    _run(store_care.check, uri, after, allow_missing)


@command.command()
@click.argument("uri")
@click.option("--from", "source", required=True, metavar="URI", help="A store that has the values.")
@_after
@click.option("--drop", is_flag=True, help="Delete damaged values that can't be replaced.")
def repair(uri: str, source: str, after: str, drop: bool) -> None:
    """Replace what is damaged or missing by what another store has, checked.

    Ends with status 1 if something could not be replaced.
    """
    _run(store_care.mend, uri, source, after, drop)


@command.command()
@click.argument("uri")
@click.option("--root", "roots", multiple=True, metavar="ID", help="Keep this message too.")
@click.option("--drop-results", is_flag=True, help="Keep no computed result.")
@click.option("--delete", is_flag=True, help="Do it; without this it is only shown.")
@click.option("--alone", is_flag=True, help="No node uses the store: a far one can't tell.")
@_after
def gc(
    uri: str, roots: tuple[str, ...], drop_results: bool, delete: bool, alone: bool, after: str
) -> None:
    """Print what no name, no result and no --root leads to; with --delete, delete it.

    Stop nodes that use the store first: while one runs, nothing is deleted, and while this deletes,
    none starts.
    """
    _run(store_care.collect, uri, roots, not drop_results, delete, alone, after)


@command.command()
@click.argument("source")
@click.argument("target")
@_after
def copy(source: str, target: str, after: str) -> None:
    """Copy SOURCE into TARGET, checking each value on the way; damaged ones stay behind."""
    _run(store_moves.copy_all, source, target, after)


@command.command()
@click.argument("left")
@click.argument("right")
@_after
def diff(left: str, right: str, after: str) -> None:
    """Say whether two stores hold the same, byte for byte; status 1 if not."""
    _run(store_moves.compare, left, right, after)


@command.command()
@click.argument("uri")
@click.argument("file", type=click.Path(path_type=Path))
@_after
@click.option(
    "--format",
    "form",
    type=click.Choice(["lines", "ans104"]),
    default="lines",
    show_default=True,
    help="JSON lines, or a directory of signed ANS-104 bundles.",
)
@click.option("--wallet", default="", metavar="KEY", help="Who signs; default FILE/key.json.")
def export(uri: str, file: Path, after: str, form: str, wallet: str) -> None:
    """Write a store into FILE; with --after, add to what FILE has already."""
    if form == "ans104":
        _run(store_moves.export_bundles, uri, file, after, wallet)
    else:
        _run(store_moves.export_to, uri, file, after)


@command.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.argument("uri")
@_after
@click.option(
    "--messages-only", is_flag=True, help="Of a HyperBEAM store, no binaries by themselves."
)
def import_(source: Path, uri: str, after: str, messages_only: bool) -> None:
    """Put SOURCE into a store, checking all of it. Doing it again is harmless.

    SOURCE is what 'export' wrote, or one bundle of it, or the directory of a HyperBEAM store, of
    files or LMDB, which is only read; stop HyperBEAM first. What does not prove itself is printed
    and left out.
    """
    _run(store_moves.import_from, source, uri, after, not messages_only)
