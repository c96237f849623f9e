"""Moving what a store holds: into another store, into a file and back, and comparing."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from pathlib import Path

import click
import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.bundled import import_bundle, mapped_bundle
from hyperbeam_trio.cache.copying import copy
from hyperbeam_trio.cache.differing import Difference, diff
from hyperbeam_trio.cache.exporting import HEAD, LineWriter, export, import_lines
from hyperbeam_trio.cache.importing import LeftOut, import_tree
from hyperbeam_trio.cache.older_layout import open_tree
from hyperbeam_trio.cache.verify import Damage
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.cli.progress import WalkDisplay
from hyperbeam_trio.cli.showing import tell
from hyperbeam_trio.cli.store_view import opened, summary
from hyperbeam_trio.durable import sync, sync_directory
from hyperbeam_trio.errors import BadRequest, HyperbeamError

_BLOCK = 1 << 16


async def copy_all(source: str, target: str, after: str) -> bool:
    """Copy and report; whether nothing stayed behind."""
    if source == target:
        raise BadRequest(f"{source} can't be copied into itself; name another store.")
    with WalkDisplay("copying") as display:
        async with opened(source) as origin, opened(target, to_write=True) as store:
            damaged = await _follow(copy(origin, store, after=after), display)
    return _told(display.done, "Copied", damaged)


async def compare(left: str, right: str, after: str) -> bool:
    """Compare and report; whether they are equal."""
    count = 0
    names = {"only left": f"only in {left}", "only right": f"only in {right}", "value": "differs"}
    with WalkDisplay("comparing") as display:
        async with (
            opened(left) as one,
            opened(right) as other,
            aclosing(diff(one, other, after=after)) as findings,
        ):
            async for found in findings:
                if isinstance(found, Difference):
                    count += 1
                    tell(f"{names[found.kind]}  {found.key}")
                else:
                    display.show(found)
    verdict = f"{count:,} differences" if count else "equal"
    click.echo(summary(display.done, "Compared") + f": {verdict}.")
    return not count


async def export_to(uri: str, file: Path, after: str) -> bool:
    """Export and report; whether nothing was left out."""
    with WalkDisplay("exporting") as display:
        async with opened(uri) as store, _written(file, bool(after)) as lines:
            damaged = await _follow(export(store, lines, after=after), display)
    return _told(display.done, "Exported", damaged)


async def export_bundles(uri: str, directory: Path, after: str, wallet: str) -> bool:
    """Export as an archive of bundles and report; whether nothing was left out."""
    if not after and await trio.Path(directory).exists():
        raise BadRequest(f"{directory} exists; remove it, or go on with --after.")
    archive = f"bundle:{directory}" + f"?key={wallet}" * bool(wallet)
    with WalkDisplay("exporting") as display:
        async with opened(uri) as store, opened(archive, to_write=True) as target:
            damaged = await _follow(copy(store, target, after=after), display)
    return _told(display.done, "Exported", damaged)


async def import_from(source: Path, uri: str, after: str, binaries: bool) -> bool:
    """Import and report; whether nothing was left out."""
    place = trio.Path(source)
    if await place.is_dir() and list(await place.glob("*.bundle")):
        if not binaries:
            raise BadRequest("An archive of bundles is imported without --messages-only.")
        return await copy_all(f"bundle:{source}", uri, after)
    if await place.is_dir():
        return await _import_older(source, uri, after, binaries)
    if after or not binaries:
        raise BadRequest("An exported file is imported whole, without --after or --messages-only.")
    with WalkDisplay("importing") as display:
        async with await trio.open_file(source, "rb") as file, opened(uri, to_write=True) as store:
            if (await file.peek(1))[:1] == HEAD[:1]:
                walk = import_lines(file, store)
            else:
                walk = import_bundle(mapped_bundle(source), store)
            damaged = await _follow(walk, display)
    return _told(display.done, "Imported", damaged)


async def _import_older(source: Path, uri: str, after: str, binaries: bool) -> bool:
    with WalkDisplay("importing") as display, closing(open_tree(source)) as tree:
        async with opened(uri, to_write=True) as store:
            walk = import_tree(tree, Cache(store), after=after, binaries=binaries)
            damaged = await _follow(walk, display)
    return _told(display.done, "Imported", damaged)


async def _follow(
    walk: AsyncGenerator[Progress | Damage | LeftOut, None], display: WalkDisplay
) -> int:
    """Show how a walk goes on; how much damage it met."""
    damaged = 0
    async with aclosing(walk):
        async for found in walk:
            if isinstance(found, Damage):
                damaged += 1
                tell(f"{found.kind}  {found.key}  {found.reason}")
            elif isinstance(found, LeftOut):
                tell(f"left out  {found.key}  {found.reason}")
            else:
                display.show(found)
    return damaged


def _told(done: Progress, word: str, damaged: int) -> bool:
    left = f"; {damaged:,} damaged were left out" if damaged else ""
    click.echo(summary(done, word) + left + ".")
    return not damaged


@asynccontextmanager
async def _written(file: Path, goes_on: bool) -> AsyncIterator[LineWriter]:
    """A new file, or one that goes on after its last whole line; on the disk when it closes."""
    if not goes_on and await trio.Path(file).exists():
        raise BadRequest(f"{file} exists; remove it, or go on with --after.")
    with _told_of(file):
        if goes_on:
            await trio.to_thread.run_sync(_cut_to_line, file)
        async with await trio.open_file(file, "ab") as lines:
            yield lines
            await lines.flush()
            await trio.to_thread.run_sync(sync, lines.fileno())
        await trio.to_thread.run_sync(sync_directory, file.parent)


@contextmanager
def _told_of(file: Path) -> Iterator[None]:
    """What the system says of a file that can't be written, in our words."""
    try:
        yield
    except HyperbeamError:
        raise
    except OSError as error:
        raise BadRequest(f"{file} can't be written: {error.strerror or error}.") from error


def _cut_to_line(file: Path) -> None:
    """Drop what follows the last line end: a line that was being written."""
    with file.open("r+b") as lines:
        end = lines.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK)
            lines.seek(start)
            at = lines.read(end - start).rfind(b"\n")
            end = start + at + 1 if at >= 0 else start
            if at >= 0:
                break
        lines.truncate(end)
