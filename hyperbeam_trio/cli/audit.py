"""`hyperbeam-trio audit PROCESS`: whether stored states are what the schedule gives (spec/05 §10).

Exit status: 0 when all states are equal, 1 when some differ, 2 when it can't be told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from typing import Any, Final, NoReturn

import click
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Display

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cli.arguments import pairs_of, process_id
from hyperbeam_trio.cli.auditing import Audit
from hyperbeam_trio.cli.other_node import OtherNode
from hyperbeam_trio.cli.replay import replaying_node
from hyperbeam_trio.cli.store_view import opened_specs
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.errors import BadRequest, HyperbeamError, single_cause

DIFFERS: Final = 1
FAILED: Final = 2


@click.command()
@click.argument("process")
@click.option("--store", multiple=True, metavar="URI", help="Where the process is; as for start.")
@click.option("--from", "first", type=click.IntRange(0), default=0, help="First slot to compare.")
@click.option("--to", "last", type=click.IntRange(0), help="Last slot to compare.")
@click.option("--against", metavar="URL", help="Compare with the states of this node too.")
@click.option("--config", "files", multiple=True, metavar="FILE", help="The node's configuration.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="A node's option.")
def command(
    process: str,
    store: tuple[str, ...],
    first: int,
    last: int | None,
    against: str | None,
    files: tuple[str, ...],
    options: tuple[str, ...],
) -> None:
    """Replay PROCESS from its schedule and compare every state with the one that is stored.

    Only the schedule and what it refers to is read, in a node that knows no results; nothing is
    written. The signatures and the chain of the schedule are checked too. Ends with status 1 if a
    state differs or an assignment is flawed, 2 if a state can't be computed. A node may be using
    the store meanwhile. Limits and devices should be configured as in that node.
    """
    try:
        flags: dict[str, Any] = {**pairs_of(options)}
        if store:
            flags["store"] = list(store)
        config = NodeConfig.from_sources(files, os.environ, flags)
        _check(first, last)
        differing = trio.run(_audit, process_id(process), config, first, last, against)
    except HyperbeamError as error:
        _fail(error)
    except BaseExceptionGroup as group:
        cause = single_cause(group)
        if not isinstance(cause, HyperbeamError):
            raise
        _fail(cause)
    if differing:
        sys.exit(DIFFERS)


def _fail(error: HyperbeamError) -> NoReturn:
    click.secho(f"Error: {error.text}", fg="red", err=True)
    sys.exit(FAILED)


def _check(first: int, last: int | None) -> None:
    if last is not None and last < first:
        raise BadRequest(f"--to {last} comes before --from {first}.")


async def _audit(
    process: str, config: NodeConfig, first: int, last: int | None, against: str | None
) -> int:
    """How many states differ."""
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(opened_specs(config.stores()))
        node = await stack.enter_async_context(replaying_node(source, process, config))
        other = OtherNode(against, process) if against else None
        if other is not None:
            await stack.enter_async_context(other)
        audit = Audit(process, Cache(source), node, other)
        slots = await audit.slots(first, last)
        with _progress(slots) as show:
            async with aclosing(audit.run(slots)) as done:
                async for slot in done:
                    show(slot)
    click.echo(audit.verdict(slots))
    return audit.differing


@contextmanager
def _progress(slots: range) -> Iterator[Callable[[int], None]]:
    """A bar over the slots on stderr, nothing when that is no terminal; gives what moves it."""
    console = Console(stderr=True)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    visible = console.is_terminal
    with Display(*columns, console=console, transient=True, disable=not visible) as display:
        task = display.add_task("", total=slots.stop)
        yield lambda slot: display.update(task, completed=slot + 1)
