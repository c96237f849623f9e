"""Opening stores for the command line, and looking at what they hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import click
import trio
from rich.filesize import decimal

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.layout import NAME, NAMESPACES, unescape
from hyperbeam_trio.cache.walk import KEYS_AT_A_TIME, Progress, Walk
from hyperbeam_trio.cli.progress import WalkDisplay, amount
from hyperbeam_trio.cli.showing import tell
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.errors import CorruptData
from hyperbeam_trio.store import Store, StoreSpec, open_stores, store_class


@asynccontextmanager
async def opened(uri: str, *, to_write: bool = False) -> AsyncIterator[Store]:
    """The store of a URI; nothing is created or changed by opening it, unless `to_write`."""
    async with opened_specs(NodeConfig(store=[uri]).stores(), to_write=to_write) as store:
        yield store


@asynccontextmanager
async def opened_specs(
    specs: Sequence[StoreSpec], *, to_write: bool = False
) -> AsyncIterator[Store]:
    """The same for a row of stores, nearest first."""
    store = await open_stores(specs if to_write else list(map(_read_only, specs)))
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(store.serve)
            yield store
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await store.close()


def _read_only(spec: StoreSpec) -> StoreSpec:
    if not store_class(spec.scheme).opens_read_only:
        return spec
    return replace(spec, options={**spec.options, "read-only": "true"})


async def stat(uri: str) -> bool:
    """Keys and bytes of each namespace; of a remote store only the keys."""
    async with opened(uri) as store:
        click.echo(store.describe())
        with WalkDisplay("counting") as display:
            for namespace in NAMESPACES:
                done = await _count(store, namespace, display)
                size = decimal(done.size) if store.scope == "local" else ""
                click.echo(f"{namespace:<14}{done.count:>12,}  {size}".rstrip())
    return True


async def _count(store: Store, namespace: str, display: WalkDisplay) -> Progress:
    done = Progress("")
    walk = Walk(store, namespaces=(namespace,))
    while keys := await walk.more():
        done = done.plus(keys[-1], len(keys), await _size(store, keys))
        display.show(done)
    # Counting is not resumed: the sums would be lost.
    display.done = Progress("")
    return done


async def _size(store: Store, keys: Sequence[str]) -> int:
    if store.scope != "local":
        return 0
    size = 0
    for key in keys:
        try:
            size += await store.view(key, len) or 0
        except CorruptData:
            # Its size is anybody's guess; `verify` reports it.
            continue
    return size


async def ls(uri: str, prefix: str, limit: int, after: str) -> bool:
    """Store keys one a line; names with their ids."""
    async with opened(uri) as store:
        cache = Cache(store)
        while limit:
            keys = await store.list(prefix, after=after, limit=min(limit, KEYS_AT_A_TIME))
            for key in keys:
                tell(await _line(cache, key))
            if len(keys) < KEYS_AT_A_TIME:
                break
            limit, after = limit - len(keys), keys[-1]
    return True


async def _line(cache: Cache, key: str) -> str:
    name = unescape(key.removeprefix(NAME)) if key.startswith(NAME) else None
    if name is None:
        return key
    return f"{await cache.lookup(name)}  {name}"


def summary(done: Progress, word: str) -> str:
    """The last line of a walk."""
    return f"{word} {amount(done)}"
