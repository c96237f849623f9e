"""Proving a store intact, repairing it, and giving back the room of what nobody needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing

import click
from rich.filesize import decimal

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.collect import Collector
from hyperbeam_trio.cache.repairing import Repair, repair
from hyperbeam_trio.cache.verify import Damage, Reference, verify
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.cli.progress import WalkDisplay
from hyperbeam_trio.cli.showing import tell
from hyperbeam_trio.cli.store_view import opened, summary
from hyperbeam_trio.errors import BadRequest, NotFound


async def check(uri: str, after: str, allow_missing: bool) -> bool:
    """Verify and report; whether all is well."""
    counts: Counter[str] = Counter()
    with WalkDisplay("verifying") as display:
        async with opened(uri) as store, aclosing(verify(store, after=after)) as findings:
            async for found in findings:
                if isinstance(found, Progress):
                    display.show(found)
                elif isinstance(found, Damage):
                    counts[found.kind] += 1
                    tell(f"{found.kind}  {found.key}  {found.reason}")
                elif isinstance(found, Reference):
                    tell(f"referred to  {found.key}  by {found.referrer}")
    verdict = f"{counts['damaged']} damaged, {counts['missing']} missing" if counts else "intact"
    click.echo(summary(display.done, "Verified") + f": {verdict}.")
    return not counts["damaged"] and (allow_missing or not counts["missing"])


async def mend(uri: str, source: str, after: str, drop: bool) -> bool:
    """Repair and report; whether nothing is lost."""
    counts: Counter[str] = Counter()
    with WalkDisplay("repairing") as display:
        async with (
            opened(source) as good,
            opened(uri, to_write=True) as store,
            aclosing(repair(store, good, after=after, drop=drop)) as findings,
        ):
            async for found in findings:
                if isinstance(found, Repair):
                    counts[found.outcome] += 1
                    tell(f"{found.outcome}  {found.key}  {found.reason}")
                else:
                    display.show(found)
    told = ", ".join(f"{counts[kind]} {kind}" for kind in ("replaced", "dropped", "lost"))
    click.echo(summary(display.done, "Verified") + f": {told}.")
    return not counts["lost"] and not counts["dropped"]


async def collect(
    uri: str, roots: Sequence[str], results: bool, delete: bool, alone: bool, after: str
) -> bool:
    """Show or delete what nothing leads to."""
    count, size = 0, 0
    with WalkDisplay("collecting") as display:
        async with opened(uri, to_write=delete) as store:
            if delete and not (await store.be_alone() or alone):
                raise BadRequest(
                    f"{store.describe()} can't tell whether a node uses it. Stop all that do, then "
                    "say so with --alone."
                )
            cache = Cache(store)
            for root in roots:
                if not await cache.exists(root):
                    raise NotFound(f"--root {root}: {store.describe()} has nothing of this id.")
            with Collector(cache, roots, results=results) as collector:
                async for done in collector.mark():
                    display.show(done)
                async with aclosing(collector.sweep(after=after, dry_run=not delete)) as sweep:
                    async for swept in sweep:
                        for key in swept.keys:
                            tell(key)
                        count += len(swept.keys)
                        size += swept.size
                        display.show(Progress(swept.cursor, count, size))
    room = f" of {decimal(size)}" if size else ""
    if delete:
        click.echo(f"Deleted {count:,} keys{room}.", err=True)
    else:
        click.echo(f"{count:,} keys{room} would go; --delete deletes them.", err=True)
    return True
