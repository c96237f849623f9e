"""ANS-104 data items: reading, writing, signing and verifying them (spec/02 §11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import trio

from hyperbeam_trio.crypto.deep_hash import hash_blob
from hyperbeam_trio.crypto.elsewhere import Elsewhere
from hyperbeam_trio.crypto.encoding import human_id
from hyperbeam_trio.crypto.field import DEFAULT_TAG_LIMITS, InvalidField, Tag, TagLimits
from hyperbeam_trio.crypto.item_header import (
    POINTER_BYTES,
    ItemHeader,
    build_fields,
    read_fields,
)
from hyperbeam_trio.crypto.item_signature import (
    ARWEAVE_TYPE,
    SignatureType,
    owner_of,
    signature_type,
    signing_input,
    type_for,
)
from hyperbeam_trio.crypto.wallet import Wallet

_NO_OWNER: Final = bytes(512)
# Hashing more than this takes longer than a hop to a thread.
_THREAD_BYTES: Final = 512 * 1024


@dataclass(frozen=True, slots=True)
class DataItem(ItemHeader):
    """An item with its data, which is a view of the bytes that it was read from."""

    data: memoryview

    @classmethod
    def parse(cls, buffer: bytes | memoryview, limits: TagLimits = DEFAULT_TAG_LIMITS) -> DataItem:
        """Read an item that fills `buffer`; no signature is checked.

        The data is not copied, and keeps `buffer` alive. Raises `InvalidField`.
        """
        view = memoryview(buffer).toreadonly()
        fields = read_fields(view, limits)
        if isinstance(fields, int):
            raise InvalidField("item", f"{view.nbytes} bytes, its header takes {fields} or more")
        return cls(*fields, data=view[len(fields[-1]) :])

    @classmethod
    def create(
        cls,
        data: bytes | memoryview = b"",
        tags: Sequence[Tag] = (),
        target: bytes = b"",
        anchor: bytes = b"",
        limits: TagLimits = DEFAULT_TAG_LIMITS,
    ) -> DataItem:
        """An unsigned item: of type 1, its signature and owner all zero (spec/02 §11.4).

        `target` and `anchor` are 32 bytes or empty. Raises `InvalidField`.
        """
        for field, pointer in (("target", target), ("anchor", anchor)):
            if len(pointer) not in (0, POINTER_BYTES):
                raise InvalidField(field, f"{len(pointer)} bytes, expected 0 or 32", POINTER_BYTES)
        limits.check(tags)
        type_ = signature_type(ARWEAVE_TYPE)
        fields = build_fields(type_, _NO_OWNER, _NO_OWNER, target, anchor, tuple(tags))
        return cls(*fields, data=memoryview(data).toreadonly())

    def to_bytes(self) -> bytes:
        """The item as it was read, or as it has been built, to the byte."""
        return b"".join((self.raw, self.data))

    @property
    def size(self) -> int:
        """Bytes of the whole item."""
        return len(self.raw) + self.data.nbytes

    @property
    def data_hash(self) -> bytes:
        """The deep hash of the data, which may lie elsewhere."""
        whole = self.data.obj
        if isinstance(whole, Elsewhere) and whole.deep_hash is not None:
            return whole.deep_hash
        return hash_blob(self.data)

    @property
    def digest(self) -> bytes:
        """The 48-byte deep hash that is signed."""
        return self.digest_with(self.data_hash)

    @property
    def unsigned_id(self) -> str:
        """The id without a signer: of the deep hash with an owner of zeros."""
        return human_id(sha256(self.digest_with(self.data_hash, _NO_OWNER)).digest())

    def verify(self) -> bool:
        """Whether the signature holds; never for an unsigned item, or for data not read yet."""
        whole = self.data.obj
        if isinstance(whole, Elsewhere) and whole.deep_hash is None:
            return False
        return self.is_signed and self.verifies_with(self.data_hash)

    def sign(self, wallet: Wallet, number: int | None = None) -> DataItem:
        """This item signed by `wallet`, with its usual signature type or with type `number`."""
        type_ = type_for(wallet, number)
        owned = self._signed_as(type_, owner_of(wallet, type_.number), bytes(type_.signature_bytes))
        message = signing_input(type_.number, owned.digest)
        return owned._signed_as(type_, owned.owner, wallet.sign(message, type_.algorithm))

    async def sign_async(
        self, wallet: Wallet, number: int | None = None, *, limiter: trio.CapacityLimiter
    ) -> DataItem:
        """As `sign`, in a thread under `limiter` where that takes long."""
        if wallet.slow or self.data.nbytes > _THREAD_BYTES:
            return await trio.to_thread.run_sync(self.sign, wallet, number, limiter=limiter)
        return self.sign(wallet, number)

    def _signed_as(self, type_: SignatureType, owner: bytes, signature: bytes) -> DataItem:
        fields = build_fields(
            type_, signature, owner, self.target, self.anchor, self.tags, self.tag_bytes
        )
        return DataItem(*fields, data=self.data)
