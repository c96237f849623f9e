"""Stores laid out as HyperBEAM lays them out (spec/04 §5.1, §5.2, §6.1, §6.2), written from there.

A layout is a mapping of paths to what lies there: bytes, a `To` another path, or `GROUP`.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple, TypeAlias

import lmdb

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.importing import Finding, import_tree
from hyperbeam_trio.cache.older_layout import open_tree
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.store import open_store

GROUP = "group"

U = "pKo1zTYSepiJ6bdfBjDP9auP9iIx4UEVXHEAjLCebaI"
M = "PFsYI2v73CK50K6UJmqbq7JA_lol8aJ8S9Kh22Om3Fc"
L = "a5Wa46CVUKWJTaPQiCS8U7Rkqc1l35AA5Mrv5jSnhKk"
E = "VnYnaoOvankqXk13s502zpiq9PIaqFHDRcIrTNhyqKQ"
SIGNED_U = "myS0Gtbk0HNefF-_If23CA9An0pMCYbrKH36ruorpyo"


class To(NamedTuple):
    """A link."""

    path: str


Layout: TypeAlias = "dict[str, bytes | To | str]"
Fields: TypeAlias = Mapping[str, "bytes | To"]
"""Keys of a message: bytes to be stored under their hash, or a `To` the id of a nested message."""


def digest(value: bytes) -> str:
    """The name of bytes."""
    return base64.urlsafe_b64encode(sha256(value).digest()).decode().rstrip("=")


def add_data(layout: Layout, path: str, value: bytes) -> None:
    """Bytes under their hash, and a link to them."""
    layout[f"data/{digest(value)}"] = value
    layout[path] = To(f"data/{digest(value)}")


def add_message(layout: Layout, id: str, fields: Fields) -> None:
    """A group whose keys lead to bytes; nested messages as the text of their ids (§6.1.4)."""
    layout[id] = GROUP
    for key, value in fields.items():
        if isinstance(value, To):
            add_data(layout, f"{id}/{key}+link", value.path.encode())
        else:
            add_data(layout, f"{id}/{key}", value)


def add_commitments(layout: Layout, id: str, commitments: Mapping[str, tuple[str, Fields]]) -> None:
    """The commitments of a message by their ids, each with the id of it as a message (§6.1.5)."""
    group = digest(f"{id}/commitments".encode())
    layout[group] = GROUP
    layout[f"{id}/commitments"] = To(group)
    for name, (own, fields) in commitments.items():
        add_message(layout, own, fields)
        layout[f"{group}/{name}"] = To(own)
        if name != id:
            layout[name] = To(id)


def write_fs(root: Path, layout: Layout, *, name: str = "cache-mainnet") -> Path:
    """A store of files whose links say that it is called `name`."""
    for path, entry in layout.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, To):
            os.symlink(f"{name}/{entry.path}", place)
        elif isinstance(entry, bytes):
            place.write_bytes(entry)
        else:
            place.mkdir(exist_ok=True)
    return root


def write_lmdb(root: Path, layout: Layout) -> Path:
    """A store in LMDB; links make groups of what is above them, bytes don't."""
    root.mkdir(parents=True)
    with lmdb.open(str(root), map_size=1 << 26) as store, store.begin(write=True) as txn:
        for path, entry in layout.items():
            if isinstance(entry, To):
                for above in _above(path):
                    txn.put(above.encode(), b"group", overwrite=False)
                txn.put(path.encode(), b"link:" + entry.path.encode())
            else:
                txn.put(path.encode(), entry if isinstance(entry, bytes) else entry.encode())
    return root


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


WRITERS: Mapping[str, Callable[[Path, Layout], Path]] = {"fs": write_fs, "lmdb": write_lmdb}


def example() -> Layout:
    """The message of spec/04 §6.2, `{x: "1", n: 5, m: {y: "2"}, l: [1, "two"], e: {}, eb: ""}`."""
    layout: Layout = {}
    add_message(
        layout,
        U,
        {
            "x": b"1",
            "n": b"5",
            "ao-types": b'n="integer"',
            "eb": b"",
            "m": To(M),
            "l": To(L),
            "e": To(E),
        },
    )
    add_message(layout, M, {"y": b"2"})
    add_message(layout, L, {"1": b"1", "2": b"two", "ao-types": b'.="list", 1="integer"'})
    add_message(layout, E, {})
    return layout


async def imported(
    cache: Cache, place: Path, kind: str, layout: Layout, **options: Any
) -> list[Finding]:
    """What an import of a layout tells, but for how far it is."""
    root = Path(mkdtemp(dir=place)) / "older"
    tree = open_tree(WRITERS[kind](root, layout))
    try:
        findings = import_tree(tree, cache, **options)
        return [one async for one in findings if not isinstance(one, Progress)]
    finally:
        tree.close()


async def taken_over(source: Path, uri: str) -> None:
    """Import a store, all of it."""
    tree = open_tree(source)
    store = await open_store(uri)
    told = [one async for one in import_tree(tree, Cache(store)) if not isinstance(one, Progress)]
    await store.close()
    tree.close()
    assert told == []
