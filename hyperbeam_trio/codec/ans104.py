"""ans104@1.0: messages as signed data items, and as bundles of them (spec/02 §11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import trio

from hyperbeam_trio.codec.base import Codec
from hyperbeam_trio.codec.tagged import (
    BUNDLE_TAGS,
    DATA_KEY,
    Parts,
    assembled,
    committed_by,
    data_key,
    is_bundle,
    original_tags,
    pointer,
    read_tags,
    says_the_same,
    tags_of,
)
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.bundle import (
    FORMAT_TAGS,
    MAX_DEPTH,
    Bundle,
    build_list,
    build_map,
    read_map,
)
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.elsewhere import Elsewhere
from hyperbeam_trio.crypto.encoding import from_base64, human_id, native_id, to_base64url
from hyperbeam_trio.crypto.field import Tag
from hyperbeam_trio.crypto.item_header import ItemHeader, build_fields, read_fields
from hyperbeam_trio.crypto.item_signature import UNSIGNED, type_named
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Link, Message, Value, enumerated
from hyperbeam_trio.verifiers import register_verifier

DEVICE: Final = "ans104@1.0"

_BINARY: Final[Tag] = (b"ao-type", b"binary")


# Reading.


def read_item(item: DataItem) -> Message | list[Value] | bytes:
    """The value of an item, with the commitment that its signature is, which is not checked.

    The raw item is kept as the commitment's evidence. Raises `BadRequest`.
    """
    return _read(item, 0)


def _read(item: DataItem, depth: int) -> Message | list[Value] | bytes:
    if _BINARY in item.tags:
        return bytes(item.data)
    if depth > MAX_DEPTH:
        raise BadRequest(f"Items are nested over {MAX_DEPTH} deep.")
    tags = read_tags(item.tags)
    data = read_data(item.data, tags, depth)
    fields = _fields(item)
    value = assembled(tags, fields, data)
    if isinstance(value, list):
        return value
    committed = committed_by(data, item.tags, fields)
    commitment = _commitment(item, tags, committed, value)
    return value if commitment is None else value.with_commitments([commitment])


def is_binary(header: ItemHeader) -> bool:
    """Whether an item is a binary, and no message."""
    return _BINARY in header.tags


def takes_link(header: ItemHeader) -> bool:
    """Whether the data of an item stands for one binary, and the signature for the message."""
    return header.is_signed and not is_binary(header) and not is_bundle(read_tags(header.tags))


def linked_message(
    header: ItemHeader, data: Link, data_hash: bytes | None = None, *, proved: bool = False
) -> Message:
    """The message of an item whose data is stored apart, for headers that `takes_link` allows.

    As `linked_value`, of data that is one binary. Raises `BadRequest`.
    """
    members = {data_key(read_tags(header.tags)): data}
    value = linked_value(header, members, data, data_hash, proved=proved)
    if not isinstance(value, Message):
        raise BadRequest("An item that is a list can't have its data stored apart.")
    return value


def linked_value(
    header: ItemHeader,
    members: Mapping[str, Value],
    data: Link,
    data_hash: bytes | None = None,
    *,
    proved: bool = False,
) -> Message | list[Value]:
    """The value of an item whose data is stored under a link, and holds `members`.

    `data_hash` is the deep hash of the data, which the id of an unsigned item needs; `proved` says
    that the signature was checked. Otherwise, who verifies the commitment loads the data and builds
    the item anew. Raises `BadRequest`.
    """
    whole = Elsewhere(native_id(data.id), data_hash)
    item = linked_item(header, whole)
    tags, fields = read_tags(item.tags), _fields(item)
    value = assembled(tags, fields, members)
    if isinstance(value, list):
        return value
    commitment = _commitment(item, tags, committed_by(members, item.tags, fields), value)
    if commitment is None or commitment.evidence is None:
        return value
    evidence = replace(commitment.evidence, item=header.raw, tail=data, proved=proved)
    return value.with_commitments([replace(commitment, evidence=evidence)])


def linked_item(header: ItemHeader, whole: Elsewhere) -> DataItem:
    """The item of a header whose data lies elsewhere."""
    fields_of = (header.signature_type, header.signature, header.owner, header.target)
    rest = (header.anchor, header.tags, header.tag_bytes, header.raw)
    return DataItem(*fields_of, *rest, data=memoryview(whole))


def _fields(item: DataItem) -> dict[str, bytes]:
    pairs = (("anchor", item.anchor), ("target", item.target))
    return {name: to_base64url(raw).encode() for name, raw in pairs if raw}


def read_data(data: memoryview, tags: Mapping[str, bytes], depth: int = 0) -> dict[str, Value]:
    """The members that data with these tags holds: the items of a bundle, or one binary."""
    if not data:
        return {}
    if not is_bundle(tags):
        whole = data.obj
        return {data_key(tags): whole if isinstance(whole, Elsewhere) else bytes(data)}
    bundle = Bundle(data)
    manifest = tags.get("bundle-map")
    if manifest is not None:
        children = read_map(bundle, manifest.decode("latin-1"))
    else:
        children = {str(place): child for place, child in enumerate(bundle, 1)}
    return {key: _read(child, depth + 1) for key, child in children.items()}


def _commitment(
    item: DataItem, tags: Mapping[str, bytes], committed: tuple[str, ...], value: Message
) -> Commitment | None:
    original = original_tags(item.tags)
    if not item.is_signed and original is None:
        return None
    extra: dict[str, Value] = {f"field-{name}": raw for name, raw in _fields(item).items()}
    if is_bundle(tags):
        extra.update({name: tags[name] for name in BUNDLE_TAGS if name in tags})
    if original is not None:
        extra["original-tags"] = original
    signed = item.is_signed
    values = {key: value[key] for key in committed if key in value}
    return Commitment(
        id=item.id if signed else item.unsigned_id,
        device=DEVICE,
        type=item.type_name,
        signature=item.signature if signed else b"",
        committed=committed,
        keyid="publickey:" + to_base64url(item.owner) if signed else None,
        committer=item.address,
        bundle=is_bundle(tags),
        extra=MappingProxyType(extra),
        evidence=Evidence(values, item=item.to_bytes()),
    )


# Writing.


def write_item(value: Message | list[Value] | bytes, *, bundle: bool = False) -> DataItem:
    """The item of a value: signed, if the message has a commitment of this device, else not.

    With `bundle`, nested messages are items inside, else tags hold their ids. Raises `BadRequest`
    for more than one such commitment, and for what an item can't hold.
    """
    if isinstance(value, bytes):
        return DataItem.create(value, [_BINARY])
    commitment = _own_commitment(value)
    if commitment is None:
        return _drafted(value, None, bundle)
    return _as_signed(value, commitment) or _rebuilt(value, commitment)


def _own_commitment(value: Message | list[Value]) -> Commitment | None:
    if isinstance(value, list):
        return None
    own = [c for c in value.commitments.values() if c.device == DEVICE]
    if len(own) > 1:
        raise BadRequest(f"A message with {len(own)} commitments of {DEVICE} is not one item.")
    return own[0] if own else None


def _as_signed(value: Message | list[Value], commitment: Commitment) -> DataItem | None:
    """The item to the byte, if it is known and says what `value` says."""
    evidence = commitment.evidence
    if evidence is None or evidence.item is None or not isinstance(value, Message):
        return None
    if evidence.tail is not None:
        return _with_tail(value, evidence.item, evidence.tail, evidence)
    return DataItem.parse(evidence.item) if evidence.covers(value) else None


def _with_tail(value: Message, head: bytes, tail: Link, evidence: Evidence) -> DataItem | None:
    """The same where the data is not at hand, if `value` has what stands for it."""
    for key, held in value.items():
        if isinstance(held, Elsewhere) and human_id(held.digest) == tail.id:
            fields = read_fields(memoryview(head))
            if isinstance(fields, int) or not evidence.covers(value.set_values({key: tail})):
                return None
            return linked_item(ItemHeader(*fields), held)
    return None


def _rebuilt(value: Message | list[Value], commitment: Commitment) -> DataItem:
    """The item that was signed, made of the committed keys again."""
    if isinstance(value, Message):
        value = Message.of({k: value[k] for k in commitment.committed if k in value})
    item = _drafted(value, commitment, commitment.bundle is True)
    if commitment.type == UNSIGNED:
        return item
    type_ = type_named(commitment.type)
    owner = from_base64((commitment.keyid or "").partition(":")[2], "keyid")
    if type_ is None or len(owner) != type_.owner_bytes:
        raise BadRequest(f"Commitment {commitment.id}: no item has the type {commitment.type!r}.")
    if len(commitment.signature) != type_.signature_bytes:
        raise BadRequest(f"Commitment {commitment.id}: its signature has the wrong length.")
    fields = build_fields(
        type_, commitment.signature, owner, item.target, item.anchor, item.tags, item.tag_bytes
    )
    return DataItem(*fields, data=item.data)


def _drafted(value: Message | list[Value], commitment: Commitment | None, bundle: bool) -> DataItem:
    parts = Parts(value, bundle=bundle)
    extra: Mapping[str, Value] = commitment.extra if commitment is not None else {}
    if commitment is None:
        target, anchor = (parts.take_pointer(name) for name in ("target", "anchor"))
    else:
        target, anchor = (_signed_pointer(parts, extra, name) for name in ("target", "anchor"))
    tags, data = write_data(parts, extra)
    tags += parts.tags(commitment.committed if commitment is not None else ())
    if "original-tags" in extra:
        tags = tags_of(extra["original-tags"])
    return DataItem.create(data, tags, target, anchor)


def write_data(parts: Parts, extra: Mapping[str, Value]) -> tuple[list[Tag], bytes]:
    """Take the data out of `parts`: its tags and its bytes.

    `extra` are the fields of the commitment, if there is one: a bundle may be a list by them.
    """
    key, data = parts.take_data()
    parts.nest_long()
    if parts.inside:
        if data:
            parts.inside[key] = data
        as_list = "bundle-format" in extra and "bundle-map" not in extra
        return _bundled(parts.inside, as_list=as_list)
    return ([(DATA_KEY.encode(), key.encode())] if data and key != "data" else []), data


def _signed_pointer(parts: Parts, extra: Mapping[str, Value], name: str) -> bytes:
    """A field of a signed item; the key of its name is not a tag then."""
    text = extra.get(f"field-{name}")
    raw = pointer(text) if isinstance(text, bytes) else b""
    if raw and pointer(parts.flat.get(name, b"")) == raw:
        del parts.flat[name]
    return raw


def _bundled(inside: Mapping[str, Value], *, as_list: bool) -> tuple[list[Tag], bytes]:
    items = {key: _child(value) for key, value in inside.items()}
    if as_list:
        places = sorted(items, key=lambda key: (len(key), key))
        return list(FORMAT_TAGS), build_list(items[place] for place in places)
    manifest, data = build_map(items)
    return [*FORMAT_TAGS, (b"bundle-map", manifest.encode())], data


def _child(value: Value) -> DataItem:
    if isinstance(value, Message | list | bytes):
        return write_item(value, bundle=True)
    raise BadRequest("Only messages, lists and binaries can be items of a bundle.")


# Committing and verifying.


async def commit_ans104(
    message: Message,
    wallet: Wallet,
    *,
    limiter: trio.CapacityLimiter,
    committed: Sequence[str] | None = None,
    bundle: bool = False,
) -> Message:
    """The message with the signature of `wallet` on the item that it is.

    Keys with capital letters come out in lower case, as tags are read. A slow key signs in a thread
    under `limiter`. An older commitment of this device is replaced. Raises `BadRequest`.
    """
    item = _drafted(_chosen(message, committed), None, bundle)
    signed = await item.sign_async(wallet, limiter=limiter)
    read = read_item(signed)
    if not isinstance(read, Message):
        raise BadRequest("Only messages can be signed, not lists or binaries.")
    (commitment,) = read.commitments.values()
    lowered = {_name(key, read): value for key, value in message.items()}
    values = {key: lowered[key] for key in read if key in lowered}
    made = replace(commitment, evidence=Evidence(values, item=signed.to_bytes()))
    others = [c for c in message.commitments.values() if c.device != DEVICE]
    same_keys = lowered.keys() == message.keys()
    result = message if same_keys else Message.of(lowered).with_hashpath(message.hashpath)
    return result.with_commitments([*others, made])


def _chosen(message: Message, committed: Sequence[str] | None) -> Message:
    if committed is None:
        return message.uncommitted()
    missing = sorted(set(committed).difference(message))
    if missing:
        raise BadRequest(f"Keys to commit to that are not there: {', '.join(missing)}.")
    return Message.of({key: message[key] for key in committed})


def _name(key: str, read: Message) -> str:
    return key.lower() if key not in read and key.lower() in read else key


def verify_ans104(message: Message, commitment: Commitment, *, secret: bytes | None = None) -> bool:
    """Whether an item's signature holds for `message`: over the raw item, or the item rebuilt."""
    evidence = commitment.evidence
    if evidence is not None and evidence.proved and evidence.covers(message):
        return True
    try:
        known = _as_signed(message, commitment)
        if known is not None:
            return _holds(known, commitment)
        item = _rebuilt(message, commitment)
        return _holds(item, commitment) and _says(item, message, commitment)
    except BadRequest:
        return False


def _holds(item: DataItem, commitment: Commitment) -> bool:
    if commitment.type == UNSIGNED:
        return not item.is_signed and item.unsigned_id == commitment.id
    claimed = (commitment.id, commitment.committer, commitment.signature)
    return claimed == (item.id, item.address, item.signature) and item.verify()


def _says(item: DataItem, message: Message, commitment: Commitment) -> bool:
    """Whether a rebuilt item, perhaps with its original tags, says what `message` says."""
    read = read_item(item)
    return isinstance(read, Message) and says_the_same(read, message, commitment.committed)


register_verifier(DEVICE, verify_ans104)


class Ans104Codec(Codec):
    """ans104@1.0."""

    name = DEVICE
    content_type = "application/ans104"

    def to_bytes(self, message: Message, *, bundle: bool) -> bytes:
        return write_item(message, bundle=bundle).to_bytes()

    def to_pieces(self, message: Message, *, bundle: bool) -> Sequence[bytes]:
        item = write_item(message, bundle=bundle)
        data = item.data.obj
        return [item.raw, data] if isinstance(data, Elsewhere) else [item.to_bytes()]

    def from_bytes(self, data: bytes) -> Message:
        value = read_item(DataItem.parse(data))
        if isinstance(value, bytes):
            return Message.of({"data": value})
        return enumerated(value) if isinstance(value, list) else value


ANS104: Final = Ans104Codec()
