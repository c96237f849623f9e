"""Signed items put together again from their fields, as gateways list them (spec/04 §5.7).

The fields come apart and some of them in several notations; what is meant is what verifies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Self

from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import from_base64
from hyperbeam_trio.crypto.field import Tag
from hyperbeam_trio.crypto.item_header import build_fields
from hyperbeam_trio.crypto.item_signature import SignatureType, signature_type
from hyperbeam_trio.errors import BadRequest

_NUMBERS: Final = (1, 2, 3, 4, 7)


@dataclass(frozen=True, slots=True)
class Listed:
    """What a gateway lists of an id."""

    signature: bytes
    owner: bytes
    recipient: bytes
    anchors: tuple[bytes, ...]
    tags: tuple[Tag, ...]
    size: int
    bundled: bool

    @classmethod
    def read(cls, node: Mapping[str, Any]) -> Self:
        """From the node of a GraphQL answer; `BadRequest` for what can't be read."""
        try:
            return cls(
                signature=_binary(node, "signature"),
                owner=_binary(node.get("owner") or {}, "key"),
                recipient=_binary(node, "recipient"),
                anchors=tuple(_anchors(node.get("anchor") or "")),
                tags=tuple(_tag(tag) for tag in node.get("tags") or ()),
                size=int((node.get("data") or {}).get("size") or 0),
                bundled=bool((node.get("bundledIn") or {}).get("id")),
            )
        except (TypeError, AttributeError, ValueError, KeyError) as error:
            raise BadRequest(
                f"The gateway's description of the item can't be read: {error}."
            ) from error

    def item(self, id: str, data: bytes) -> DataItem | None:
        """The item with this id and data, if one verifies that is like this description."""
        for type_, anchor in product(self._types(), self.anchors):
            fields = build_fields(
                type_, self.signature, self.owner, self.recipient, anchor, self.tags
            )
            item = DataItem(*fields, data=memoryview(data))
            if item.id == id and item.verify():
                return item
        return None

    def _types(self) -> Iterator[SignatureType]:
        for type_ in map(signature_type, _NUMBERS):
            if (type_.signature_bytes, type_.owner_bytes) == (len(self.signature), len(self.owner)):
                yield type_


def _binary(members: Mapping[str, Any], name: str) -> bytes:
    text = members.get(name) or ""
    if not isinstance(text, str):
        raise TypeError(f"{name} is no text")
    return from_base64(text, name)


def _anchors(text: str) -> Iterator[bytes]:
    """An anchor has 32 bytes or none; some gateways give it as it is, some in base64url."""
    if len(text.encode()) == 32:
        yield text.encode()
    if len(text) == 43:
        yield from_base64(text, "anchor")
    if not text:
        yield b""


def _tag(tag: Mapping[str, Any]) -> Tag:
    return str(tag["name"]).encode(), str(tag["value"]).encode()
