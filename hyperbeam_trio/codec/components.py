"""What a httpsig commitment covers: its keys, its components, its bases (spec/02 §5, §8)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from hyperbeam_trio.codec.ids import fresh_id, june_link_id, link_id
from hyperbeam_trio.codec.layout import Layout, lay_out, wire_name
from hyperbeam_trio.codec.structured_fields import unescape_name
from hyperbeam_trio.codec.tabm import LinkOf, Tabm, write
from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.crypto.encoding import native_id
from hyperbeam_trio.crypto.keyid import CONSTANT_AO, HMAC_SHA256
from hyperbeam_trio.crypto.signature_base import (
    DERIVED,
    SIGNED_PARAMETERS,
    Parameters,
    base_of,
    component_list,
    parameters_text,
    plain_name,
    signature_base,
)
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message, Value

DEVICE: Final = "httpsig@1.0"

Order: TypeAlias = Literal["sorted", "committed"]
SORTED: Final = "sorted"
"""Variant S of the components' order, or C: that of the committed keys (spec/02 §9.1)."""

DERIVED_2025: Final = DERIVED | {"status"}
"""Components that the form of May 2025 lists with an `@`."""

BODY_NAMES: Final = frozenset({"ao-body-key", "inline-body-key", "body-keys"})
"""Components that say where the body belongs; they are no keys."""

_LONGEST_KEPT: Final = 2048
_LINK: Final = "+link"
_LISTED: Final = re.compile(rb'"@signature-params": \(([^\n]*?)\)(?:;[^\n]*)?\Z')
_NAME: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"')


# Nested messages in a bundle.


def with_child_commitments(message: Message) -> Message:
    """The message with an unsigned commitment on each nested message that has no commitment.

    Lists and empty messages get none, but the messages inside of lists do (spec/02 §14, 5).
    """
    items = {key: _committed_inside(value) for key, value in message.items()}
    if all(items[key] is message[key] for key in items):
        return message
    return Message.of(items).with_commitments(message.commitments.values())


def _committed_inside(value: Value) -> Value:
    if isinstance(value, list):
        items = [_committed_inside(item) for item in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    if not isinstance(value, Message) or not value:
        return value
    child = with_child_commitments(value)
    return child if child.commitments else child.with_commitments([unsigned_commitment(value)])


def unsigned_commitment(message: Message) -> Commitment:
    """The HMAC commitment under `constant:ao` over all keys, nested ones by their ids."""
    id = fresh_id(message)
    tabm = whole(message, bundle=False)
    return Commitment(
        id=id,
        device=DEVICE,
        type=HMAC_SHA256,
        signature=native_id(id),
        committed=committed_keys(lay_out(tabm), keys_of(tabm)),
        keyid=CONSTANT_AO,
    )


# Keys and TABMs.


def whole(message: Message, *, bundle: bool, link: LinkOf = link_id) -> Tabm:
    """The TABM of which commitments cover a part.

    With `bundle` children lie inside, and carry commitments; else `link` gives their ids.
    """
    if not bundle:
        return write(message, link, commitments=False)
    tabm = write(with_child_commitments(message), None)
    tabm.pop("commitments", None)
    return tabm


def keys_of(tabm: Tabm) -> tuple[str, ...]:
    """The keys that a commitment to all of a TABM covers, sorted."""
    return tuple(sorted(key.removesuffix(_LINK) for key in tabm))


def covered(tabm: Tabm, committed: Iterable[str]) -> Tabm | None:
    """The part of a TABM that `committed` names; `None` if it lacks one of them."""
    chosen: Tabm = {}
    for key in committed:
        name = key if key in tabm else key + _LINK
        if name not in tabm:
            return None
        chosen[name] = tabm[name]
    return chosen


def committed_keys(layout: Layout, keys: Sequence[str]) -> tuple[str, ...]:
    """The keys that are committed by signing `layout`, which was made of `keys`.

    They come in the order of the components; `content-digest` stands for those in the body.
    """
    return keys_signed(layout.names(), layout, keys)


def keys_signed(names: Iterable[str], layout: Layout, keys: Sequence[str]) -> tuple[str, ...]:
    """As `committed_keys`, where the components of `layout` come in the order of `names`."""
    by_name = {wire_name(key): key for key in keys}
    if len(by_name.keys() & layout.headers.keys()) < len(keys):
        by_name.update({wire_name(key + _LINK): key for key in keys})
    inside = [key for key in keys if wire_name(key) in layout.inside] if layout.inside else []
    return _keys(names, inside, by_name, layout.is_multipart)


def keys_of_components(
    names: Iterable[str], inside: Sequence[str], present: Collection[str], *, multipart: bool
) -> tuple[str, ...]:
    """The keys that components from the wire stand for, in their order.

    `inside` are the keys in the body, `present` all keys of the message. With `multipart` the
    `content-type` is the transport's.
    """
    plain = [own_name(name) for name in names]
    # A key that looks like a percent form, and is none, is found under its own name.
    keys = ((name, name.removesuffix(_LINK)) for name in plain)
    by_name = {name: key for name, key in keys if name in present or key in present}
    return _keys(plain, inside, by_name, multipart)


def _keys(
    names: Iterable[str], inside: Sequence[str], by_name: dict[str, str], multipart: bool
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name in names:
        if name == "content-digest":
            found.update(dict.fromkeys(inside))
        elif name not in BODY_NAMES and not (multipart and name == "content-type"):
            found[by_name.get(name) or unescape_name(name).removesuffix(_LINK)] = None
    return tuple(found)


# Components and bases.


def own_name(name: str) -> str:
    """A component's name without the `@` that any version puts before it."""
    return name[1:] if name[:1] == "@" and name[1:] in DERIVED_2025 else name


def component_names(message: Message, commitment: Commitment) -> list[str]:
    """The names that `signature-input` lists for a commitment of `message`."""
    evidence = commitment.evidence
    if evidence is not None and evidence.base is not None and evidence.covers(message):
        names = _listed(evidence.base)
        if "inline-body-key" not in names:
            return names
    layout = _layout(message, commitment)
    if layout is None:
        return [wire_name(key) for key in commitment.committed]
    names = layout.names()
    if ":" in (commitment.keyid or "") and _is_of_c(commitment, layout):
        names = [name for name, _ in _committed_order(layout.components(), commitment.committed)]
    return names


def _is_of_c(commitment: Commitment, layout: Layout) -> bool:
    """Whether the order of the keys, which follows that of the components, is not the sorted one.

    Then whoever reads the components in variant C finds the keys in the same order again.
    """
    return committed_keys(layout, commitment.committed) != commitment.committed


def _listed(base: bytes) -> list[str]:
    params = base[base.rfind(b'"@signature-params": (') :]
    return list(_kept_list(params) if len(params) <= _LONGEST_KEPT else _read_list(params))


def _read_list(params: bytes) -> tuple[str, ...]:
    match = _LISTED.search(params)
    text = match[1].decode("utf-8", "replace") if match else ""
    names: list[str] = _NAME.findall(text)
    if "\\" in text:
        names = [re.sub(r"\\(.)", r"\1", name) for name in names]
    return tuple(map(plain_name, names))


_kept_list = lru_cache(maxsize=256)(_read_list)


def parameters_of(commitment: Commitment) -> Parameters:
    """The parameters that are signed, with `alg` as the bare type."""
    found: dict[str, str | int] = {"alg": commitment.type}
    if commitment.keyid is not None:
        found["keyid"] = commitment.keyid
    if commitment.bundle is not None:
        found["bundle"] = "true" if commitment.bundle else "false"
    for name in SIGNED_PARAMETERS:
        value = commitment.extra.get(name)
        if isinstance(value, bytes):
            found[name] = value.decode("utf-8", "replace")
        elif isinstance(value, int):
            found[name] = value
    return found


def bases(message: Message, commitment: Commitment) -> Iterator[bytes]:
    """The bases that may have been signed: first ours, then those of other versions (spec/02 §9).

    None at all if the message lacks a committed key.
    """
    # Keys beside those that are signed may change the types (`ao-types`) that are, or may not.
    signed = Message.of({key: message[key] for key in commitment.committed if key in message})
    yield from _bases(signed, commitment)
    if len(signed) < len(message):
        yield from _bases(message, commitment)


def _bases(message: Message, commitment: Commitment) -> Iterator[bytes]:
    layout = _layout(message, commitment)
    if layout is None:
        return
    components = layout.components()
    parameters = parameters_of(commitment)
    yield signature_base(components, parameters)[0]
    yield signature_base(_committed_order(components, commitment.committed), parameters)[0]
    if ":" not in (commitment.keyid or ""):
        yield from _older_bases(message, commitment, dict(components), parameters)


def _older_bases(
    message: Message, commitment: Commitment, components: dict[str, bytes], parameters: Parameters
) -> Iterator[bytes]:
    """Those of the forms whose keyids have no prefix."""
    yield _may_2025(components, parameters)
    layout = _layout(message, commitment, june_link_id)
    if layout is not None:
        yield signature_base(layout.components(), parameters)[0]


def _layout(message: Message, commitment: Commitment, link: LinkOf = link_id) -> Layout | None:
    try:
        tabm = whole(message, bundle=commitment.bundle is True, link=link)
        chosen = covered(tabm, commitment.committed)
        layout = None if chosen is None else lay_out(chosen)
    except BadRequest:
        return None
    if layout is None or not _covers_all(layout, commitment.committed):
        return None
    return layout


def _covers_all(layout: Layout, committed: tuple[str, ...]) -> bool:
    """Whether a signature of `layout` is about all that it is said to be about.

    A `content-type` of one's own is not part of a body of several parts, for example. It is signed
    where such a body is the value of one key, as May 2025 has it of nested messages (spec/08 §6.3).
    """
    own = set() if layout.composed else {"content-type"} & layout.headers.keys()
    return set(committed) - own <= set(committed_keys(layout, committed))


def ordered(
    components: list[tuple[str, bytes]], committed: Sequence[str], order: Order
) -> list[tuple[str, bytes]]:
    """Sorted components in the order of a variant, for the keys that are to be committed."""
    return components if order == SORTED else _committed_order(components, committed)


def _committed_order(
    components: list[tuple[str, bytes]], committed: Sequence[str]
) -> list[tuple[str, bytes]]:
    """Variant C: in the order of the committed keys, with what stands for the body in its place."""
    named = dict(components)
    names: dict[str, None] = {}
    for key in committed:
        own = [name for name in (wire_name(key), wire_name(key + _LINK)) if name in named]
        # What is no header is in the body, which its digest stands for.
        standing = own or [name for name in ("ao-body-key", "content-digest") if name in named]
        names.update(dict.fromkeys(standing))
    names.update(dict.fromkeys(named))
    return [(name, named[name]) for name in names]


def _may_2025(components: dict[str, bytes], parameters: Parameters) -> bytes:
    """Variant M: sorted with the `@` counted, and only `alg` and `keyid` as parameters."""
    plain = dict(components)
    if "ao-body-key" in plain:
        plain["inline-body-key"] = plain.pop("ao-body-key")
    listed = sorted((f"@{name}" if name in DERIVED_2025 else name, name) for name in plain)
    lines = [(name, plain[name]) for _, name in listed]
    names = component_list(name for name, _ in listed)
    return base_of(lines, names + parameters_text(parameters, ("alg", "keyid")))
