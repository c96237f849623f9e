"""Store entries as signed data items, and the manifest that each bundle ends with (ANS-104).

An entry is an item whose data is the value and whose tags say the key, so that everybody who finds
the bundle anywhere can tell what is in it and who kept it. A deletion is an item without data.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson

from hyperbeam_trio.cache.bundled import KEY, MANIFEST, OPERATION
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import from_base64, to_base64url
from hyperbeam_trio.crypto.field import Tag
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.errors import BadRequest

_DELETE: Final = b"delete"
_VERSION: Final = b"1"
_APPLICATION: Final[tuple[Tag, ...]] = ((b"App-Name", b"hyperbeam-trio"),)


class Kept(NamedTuple):
    """Where the value of a key lies in a file, and its SHA-256."""

    offset: int
    size: int
    digest: bytes


Change = tuple[str, Kept | None]
"""A key and its value from now on; `None` where it was deleted."""


def entry_item(key: str, value: bytes | None, wallet: Wallet) -> DataItem:
    """The signed item of an entry; without a value, of a deletion. Takes as long as signing."""
    tags = [*_APPLICATION, (KEY, key.encode())]
    if value is None:
        tags.append((OPERATION, _DELETE))
    return DataItem.create(value or b"", tags).sign(wallet)


def change_of(item: DataItem, offset: int) -> Change:
    """What an item at an offset of its file changes; `BadRequest` if it is no entry."""
    key = item.tag(KEY)
    if key is None:
        raise BadRequest("The item has no Store-Key.")
    if item.tag(OPERATION) == _DELETE:
        return key.decode(), None
    size = item.data.nbytes
    return key.decode(), Kept(offset + item.size - size, size, sha256(item.data).digest())


def moved(change: Change, distance: int) -> Change:
    """The same change, its value further on in the file, or in another one."""
    key, kept = change
    return key, kept and kept._replace(offset=kept.offset + distance)


def manifest_item(changes: Sequence[Change], wallet: Wallet) -> DataItem:
    """The item that says what the other items of a bundle change, in their order."""
    tags = [*_APPLICATION, (MANIFEST, _VERSION), (b"Content-Type", b"application/json")]
    listed = [_listed(key, kept) for key, kept in changes]
    return DataItem.create(orjson.dumps(listed), tags).sign(wallet)


def read_manifest(item: DataItem) -> list[Change] | None:
    """The changes that a manifest lists; `None` if the item is none, or does not verify."""
    if item.tag(MANIFEST) != _VERSION or not item.verify():
        return None
    return [_change(entry) for entry in orjson.loads(item.data)]


def _listed(key: str, kept: Kept | None) -> dict[str, Any]:
    if kept is None:
        return {"key": key, "deleted": True}
    digest = to_base64url(kept.digest)
    return {"key": key, "offset": kept.offset, "size": kept.size, "sha256": digest}


def _change(entry: dict[str, Any]) -> Change:
    if entry.get("deleted"):
        return entry["key"], None
    digest = from_base64(entry["sha256"], "sha256")
    return entry["key"], Kept(entry["offset"], entry["size"], digest)
