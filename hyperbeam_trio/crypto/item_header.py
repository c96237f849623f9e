"""Headers of ANS-104 data items: everything but the data (spec/02 §11.1, §11.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from hyperbeam_trio.crypto.deep_hash import ListHash
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.crypto.field import DEFAULT_TAG_LIMITS, InvalidField, Tag, TagLimits
from hyperbeam_trio.crypto.item_signature import (
    UNSIGNED,
    SignatureType,
    address_of,
    signature_type,
    verify_item,
)
from hyperbeam_trio.crypto.item_tags import decode_tags, encode_tags

POINTER_BYTES: Final = 32
HeaderFields: TypeAlias = tuple[int, bytes, bytes, bytes, bytes, tuple[Tag, ...], bytes, bytes]
"""The arguments of `ItemHeader`, in order."""

_TAG_SIZES: Final = struct.Struct("<QQ")
_FIXED_BYTES: Final = 2 + 512 + 512 + 2 * (1 + POINTER_BYTES) + _TAG_SIZES.size


@dataclass(frozen=True, slots=True)
class ItemHeader:
    """All of an item but its data.

    `target` and `anchor` are 32 bytes, or empty; `tag_bytes` are the tags as they are signed,
    `raw` the header as it stands on the wire.
    """

    signature_type: int
    signature: bytes
    owner: bytes
    target: bytes
    anchor: bytes
    tags: tuple[Tag, ...]
    tag_bytes: bytes
    raw: bytes

    @property
    def is_signed(self) -> bool:
        """Whether there is a signature, be it right or wrong."""
        return self.signature.count(0) != len(self.signature)

    @property
    def id(self) -> str:
        """The 43-character id: the SHA-256 of the signature."""
        return hash_id(self.signature)

    @property
    def address(self) -> str | None:
        """What the signer is known by; nothing for an unsigned item."""
        return address_of(self.signature_type, self.owner) if self.is_signed else None

    @property
    def type_name(self) -> str:
        """The name of the scheme in a commitment's `type`."""
        return signature_type(self.signature_type).name if self.is_signed else UNSIGNED

    def tag(self, name: bytes) -> bytes | None:
        """The value of the first tag of that name, compared without regard to ASCII case."""
        wanted = name.lower()
        return next((value for key, value in self.tags if key.lower() == wanted), None)

    def digest_with(self, data_hash: bytes, owner: bytes | None = None) -> bytes:
        """The deep hash that is signed, for data whose deep hash is `data_hash`.

        `owner` stands in for the item's own.
        """
        running = ListHash.resumed(_digest_start(self.signature_type))
        for field in (self.owner if owner is None else owner, self.target, self.anchor):
            running.add(field)
        running.add(self.tag_bytes)
        running.add_hash(data_hash)
        return running.digest()

    def verifies_with(self, data_hash: bytes) -> bool:
        """Whether the signature holds for data whose deep hash is `data_hash`."""
        if not self.is_signed:
            return False
        digest = self.digest_with(data_hash)
        return verify_item(self.signature_type, self.owner, self.signature, digest)


def read_fields(view: memoryview, limits: TagLimits = DEFAULT_TAG_LIMITS) -> HeaderFields | int:
    """The fields of the header at the start of `view`.

    If `view` ends within the header: how many bytes the header takes at least, which is more than
    `view` has. Every length is checked against its limit before anything of that size is read.
    Raises `InvalidField`.
    """
    fixed = bytes(view[:_FIXED_BYTES])
    if len(fixed) < 2:
        return 2
    type_ = signature_type(int.from_bytes(fixed[:2], "little"))
    target, place = _pointer(fixed, 2 + type_.size, "target")
    anchor, place = _pointer(fixed, place, "anchor")
    start = place + _TAG_SIZES.size
    if start > len(fixed):
        return start
    count, encoded = _tag_sizes(fixed, place)
    limits.check_encoded(count, encoded)
    end = start + encoded
    if end > view.nbytes:
        return end
    tag_bytes = bytes(view[start:end])
    tags = decode_tags(tag_bytes, count, limits)
    signature = fixed[2 : 2 + type_.signature_bytes]
    owner = fixed[2 + type_.signature_bytes : 2 + type_.size]
    raw = fixed[:start] + tag_bytes
    return type_.number, signature, owner, target, anchor, tags, tag_bytes, raw


def _tag_sizes(fixed: bytes, place: int) -> tuple[int, int]:
    count, encoded = _TAG_SIZES.unpack_from(fixed, place)
    return count, encoded


def _pointer(fixed: bytes, place: int, field: str) -> tuple[bytes, int]:
    """A flagged field of 32 bytes at `place`, and the place behind it, perhaps past the end."""
    if place >= len(fixed) or fixed[place] == 0:
        return b"", place + 1
    if fixed[place] != 1:
        raise InvalidField(field, f"its presence byte is {fixed[place]}, expected 0 or 1")
    end = place + 1 + POINTER_BYTES
    return fixed[place + 1 : end], end


def build_fields(
    type_: SignatureType,
    signature: bytes,
    owner: bytes,
    target: bytes,
    anchor: bytes,
    tags: tuple[Tag, ...],
    tag_bytes: bytes | None = None,
) -> HeaderFields:
    """The fields of a header made from its parts; `tag_bytes` only if they are known already."""
    encoded = encode_tags(tags) if tag_bytes is None else tag_bytes
    raw = b"".join(
        (
            type_.number.to_bytes(2, "little"),
            signature,
            owner,
            b"\1" + target if target else b"\0",
            b"\1" + anchor if anchor else b"\0",
            _TAG_SIZES.pack(len(tags), len(encoded)),
            encoded,
        )
    )
    return type_.number, signature, owner, target, anchor, tags, encoded, raw


@lru_cache(maxsize=16)
def _digest_start(number: int) -> bytes:
    """The running hash behind the three elements that all items of a type share."""
    running = ListHash(8)
    for constant in (b"dataitem", b"1", b"%d" % number):
        running.add(constant)
    return running.digest()
