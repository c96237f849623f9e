"""How far a walk over a store has come, on stderr, and how to go on with it later."""

from __future__ import annotations

import shlex
from string import ascii_letters, digits
from types import TracebackType
from typing import Final, Self

import click
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Display

from hyperbeam_trio.cache.layout import NAME
from hyperbeam_trio.cache.walk import Progress

_DIGITS: Final = {sign: place for place, sign in enumerate(sorted(ascii_letters + digits + "-_"))}


class WalkDisplay:
    """A bar while the walk lasts; when it is cut short, the cursor to go on from.

    Use it in a `with` block. Nothing is drawn when stderr is no terminal.
    """

    def __init__(self, doing: str) -> None:
        console = Console(stderr=True)
        self._display = Display(
            SpinnerColumn(),
            TextColumn(doing),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._display.add_task("", total=None, amount="")
        self.done = Progress("")

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._display.stop()
        if error is not None and self.done.cursor:
            hint = shlex.quote(self.done.cursor)
            click.echo(f"Stopped after {amount(self.done)}. Go on with --after {hint}", err=True)

    def show(self, done: Progress) -> None:
        """The walk has come to `done`."""
        self.done = done
        namespace, _, rest = done.cursor.partition("/")
        share = None if done.cursor.startswith(NAME) else _share(rest)
        self._display.update(
            self._task,
            description=f"{namespace}/",
            completed=share or 0.0,
            total=None if share is None else 1.0,
            amount=amount(done),
        )


def amount(done: Progress) -> str:
    """Keys and bytes, for people."""
    return f"{done.count:,} keys, {decimal(done.size)}"


def _share(id: str) -> float | None:
    """How far along its namespace a key is: ids are hashes, so they lie evenly."""
    if len(id) < 2 or id[0] not in _DIGITS or id[1] not in _DIGITS:
        return None
    return (_DIGITS[id[0]] * len(_DIGITS) + _DIGITS[id[1]]) / len(_DIGITS) ** 2
