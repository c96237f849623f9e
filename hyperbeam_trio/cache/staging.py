"""Messages as store entries, worked out before anything is written (spec/04 §6.1, §12).

Pure: no store, no waiting. `Staging.add` walks a value and collects what has to be in the store
for it, content before what points at it: blobs, nested records, the record, commitments, aliases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from hyperbeam_trio.cache.layout import ALIAS, COMMITMENTS, DATA, MESSAGE, escape
from hyperbeam_trio.cache.parts import PART_BYTES
from hyperbeam_trio.cache.record import Encoded, Form, encode, encode_texts
from hyperbeam_trio.codec.ids import fresh_id, is_unsigned, link_id, linked_body
from hyperbeam_trio.codec.scalars import MAX_NESTING
from hyperbeam_trio.codec.structured import from_tabm, to_tabm
from hyperbeam_trio.codec.tabm import REGENERATED
from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.crypto.encoding import hash_id, to_base64url
from hyperbeam_trio.errors import BadRequest, TooLarge
from hyperbeam_trio.message import Atom, Link, Message, Resolve, Value, describe, is_private

BLOB_BYTES: Final = 4096
"""Binaries over this size are blobs of their own and are read as links."""
HASH_INLINE_BYTES: Final = 512 * 1024
"""Binaries over this size are not hashed in the event loop (spec/09 §3)."""

COMMON_KEYS: Final = 64
"""Commitments that cover more keys are encoded anew each time, so that little is kept."""

_SCALARS = frozenset({int, float, bool, Atom, type(None)})
# No part of any id, so two messages of one id could differ in them (spec/02 §7).
_NOT_STORED = REGENERATED | {"commitments", "signature", "signature-input"}


class Unread(Exception):
    """An id takes the contents of these links to blobs: put them in `loaded` and stage again."""

    def __init__(self, links: Sequence[Link]) -> None:
        super().__init__(*links)
        self.links = links


class Staging:
    """The store entries of one or several values, in the order in which they may be written.

    `known(key)` is not `None` when a store key and all that it points at are stored already.
    `entries` never change once stored, `notes` may; write them in this order. `provisional` names
    keys of `entries` that must not replace what may be there. `added` are the ids that were staged.

    Large binaries are left `unhashed`: put each into `hashed` (with its id, by its identity), then
    `restart` and stage again. `loaded` holds contents that an `Unread` asked for, by id.
    """

    def __init__(
        self, known: Callable[[str], object] = lambda key: None, blob_bytes: int = BLOB_BYTES
    ) -> None:
        self.loaded: dict[str, bytes] = {}
        self._heads: dict[int, tuple[bytes, bytes, bytes]] = {}
        self.hashed: dict[int, tuple[bytes, str]] = {}
        self._known = known
        self._blob_bytes = blob_bytes
        self.restart()

    def restart(self) -> None:
        """Forget what was staged, but not what was provided."""
        self.entries: dict[str, bytes] = {}
        self.notes: dict[str, bytes] = {}
        self.provisional: set[str] = set()
        self.added: list[str] = []
        self.unhashed: list[bytes] = []

    def add(self, value: Value) -> str:
        """Stage a message, list or binary; its id, a message's being that of all its keys.

        Raises `BadRequest` for what can't be stored, `TooLarge` when it is nested too deep, and
        `Unread`.
        """
        if isinstance(value, Message):
            id = self._message(value, 0)[0]
        elif isinstance(value, list):
            id = self._list(value, 0)
        elif isinstance(value, bytes):
            id = self._blob(value).id
        else:
            raise BadRequest(
                f"The cache stores messages, lists and binaries, not {describe(value)}."
            )
        self.added.append(id)
        return id

    def part(self, value: Value, depth: int = 0) -> Value:
        """What stands for `value` inside a record: itself, or a link to what was staged for it."""
        if isinstance(value, bytes):
            return self._blob(value) if len(value) > self._blob_bytes else value
        if isinstance(value, Message):
            return Link(self._message(value, depth + 1)[1])
        if isinstance(value, list):
            return Link(self._list(value, depth + 1))
        if isinstance(value, Resolve):
            _check_depth(depth)
            # Part of the message itself, so its binaries stay where they are (spec/03 §2).
            steps = value.sequence
            return Resolve(
                tuple([s if type(s) is bytes else self.part(s, depth + 1) for s in steps])
            )
        return value

    def inline(self, value: Value) -> Value:
        """`value` to stand whole inside a record: nothing is left out but what is private."""
        if isinstance(value, Message):
            items = value.items()
            return Message.of({k: self.inline(v) for k, v in items if not is_private(k)})
        if isinstance(value, list):
            return [self.inline(item) for item in value]
        return self.part(value)

    def note(self, key: str, items: Mapping[str, Value]) -> None:
        """Stage a record that may change: a result or a name."""
        self.notes[key] = encode(key, items)

    # Messages and lists.

    def _message(self, message: Message, depth: int) -> tuple[str, str]:
        """The id of all keys, and the id by which a parent links the message (spec/01 §6)."""
        if _is_irregular(message):
            regular = self._regular(message, depth)
            if isinstance(regular, list):
                return (self._list(regular, depth),) * 2
            message = regular
        id = message._id
        if id is None and not message._items:
            id = message._id = _empty_id(is_list=False)
        if id is None or not self._has(MESSAGE + id):
            _check_depth(depth)
            stored = self._stored(message._items, depth)
            if id is None:
                id = message._id = fresh_id(Message.of(self._plain(message, stored)))
            self._put(id, stored)
        return id, self._commit(id, message, depth) if message.commitments else id

    def _stored(self, items: Mapping[str, Value], depth: int) -> dict[str, Value]:
        stored = {}
        for key, value in items.items():
            if key.startswith("priv") or key in _NOT_STORED:
                continue
            if type(value) is bytes:
                if len(value) > self._blob_bytes:
                    value = self._blob(value)
            elif type(value) is Message:
                # Not through `part`: two frames a level, so that 256 levels fit Python's stack.
                value = Link(self._message(value, depth + 1)[1])
            elif type(value) is list:
                value = Link(self._list(value, depth + 1))
            elif type(value) not in _SCALARS:
                value = self.part(value, depth)
            stored[key] = value
        return stored

    def _regular(self, message: Message, depth: int) -> Message | list[Value]:
        """A message that spells out its types or links, in the usual form, which has the same id.

        One id, one record: whoever writes first can't choose how others will read the values.
        """
        stored = self._stored(message._items, depth)
        regular = from_tabm(to_tabm(Message.of(self._plain(message, stored))))
        if isinstance(regular, list):
            return regular
        return regular.with_commitments(message.commitments.values())

    def _list(self, items: list[Value], depth: int) -> str:
        _check_depth(depth)
        if not items:
            id = _empty_id()
            self._put(id, {}, is_list=True)
            return id
        numbered = {str(number): item for number, item in enumerate(items, 1)}
        stored = self._stored(numbered, depth)
        id = fresh_id(list(self._plain(numbered, stored).values()))
        self._put(id, stored, is_list=True)
        return id

    def _put(self, id: str, stored: Mapping[str, Value], *, is_list: bool = False) -> None:
        key = MESSAGE + id
        if not self._has(key):
            self.entries[key] = encode(key, stored, is_list=is_list)

    def _has(self, key: str) -> bool:
        return key in self.entries or self._known(key) is not None

    def _plain(self, whole: Mapping[str, Value], stored: dict[str, Value]) -> dict[str, Value]:
        """The stored values as ids are computed from them: links, but binaries as they are."""
        blobs = [key for key, v in stored.items() if type(v) is Link and v.kind == "binary"]
        if not blobs:
            return stored
        body = stored[blobs[0]]
        large = isinstance(body, Link) and body.size > PART_BYTES
        if large and blobs == [linked_body(stored)]:
            return stored
        contents = {key: self._content(whole[key]) for key in blobs}
        unread = [v for v in contents.values() if isinstance(v, Link)]
        if unread:
            raise Unread(unread)
        return {**stored, **contents}

    def _content(self, value: Value) -> Value:
        return self.loaded.get(value.id, value) if isinstance(value, Link) else value

    # Binaries.

    def _blob(self, value: bytes) -> Link:
        id = self._hash(value)
        key = DATA + id
        if not self._has(key):
            self.entries[key] = value
        return Link(id, "binary", len(value))

    def _hash(self, value: bytes) -> str:
        if len(value) <= HASH_INLINE_BYTES:
            return hash_id(value)
        found = self.hashed.get(id(value))
        if found is None:
            self.unhashed.append(value)
            return ""
        return found[1]

    # Commitments.

    def _commit(self, id: str, message: Message, depth: int) -> str:
        """Stage all commitments, and what each id that they give the message stands for.

        Gives the id under which a parent links the message.
        """
        commitments = message.commitments
        for commitment in commitments.values():
            self._commitment(id, commitment, message)
            self._vouch(commitment.id, id, [commitment], message, depth)
        combined = link_id(message)
        if combined not in commitments:
            signed = [c for c in commitments.values() if c.committer is not None]
            named = signed or [c for c in commitments.values() if is_unsigned(c)]
            self._vouch(combined, id, named, message, depth)
        return combined

    def _vouch(
        self, alias: str, id: str, commitments: list[Commitment], message: Message, depth: int
    ) -> None:
        if alias == id or self._has(key := ALIAS + escape(alias)):
            return
        committed = frozenset.intersection(*[_keys_of(c.committed) for c in commitments])
        target = self._covered(id, message, committed, depth)
        if target != id:
            for commitment in commitments:
                self._commitment(target, commitment, message)
        if alias != target:
            ids = encode_texts([commitment.id for commitment in commitments])
            self.entries[key] = encode(key, {"message": Link(target), "commitments": ids})

    def _covered(self, id: str, message: Message, committed: frozenset[str], depth: int) -> str:
        """The id of the message with the committed keys only: all that a signed id vouches for.

        Otherwise anybody could add keys to a signed message and have them read under its id.
        """
        items = message._items
        if committed.issuperset(items) or all(k in committed or not _is_stored(k) for k in items):
            return id
        stored = self._stored(message._items, depth)
        kept = {key: value for key, value in stored.items() if key in committed}
        target = fresh_id(Message.of(self._plain(message, kept)))
        self._put(target, kept)
        return target

    def _commitment(self, holder: str, commitment: Commitment, message: Message) -> None:
        key = commitment_key(holder, commitment.id)
        if self._has(key):
            return
        items = self._evidence(commitment, message)
        if not items:
            self.provisional.add(key)
        items["id"] = commitment.id.encode()
        items["commitment"] = encode_commitment(commitment)
        self.entries[key] = encode(key, items)

    def _evidence(self, commitment: Commitment, message: Message) -> dict[str, Value | Encoded]:
        """What was signed, as far as it speaks for `message`, large parts as blobs."""
        evidence = commitment.evidence
        if evidence is None or not evidence.covers(message):
            return {}
        items: dict[str, Value | Encoded] = {}
        if evidence.values.keys() != _keys_of(commitment.committed):
            items["values"] = _encoded_keys(tuple(evidence.values))
        if evidence.base is not None:
            items["base"] = self.part(evidence.base)
        if evidence.item is not None and evidence.tail is not None:
            items["item"], items["item-tail"] = self.part(evidence.item), evidence.tail
        elif evidence.item is not None:
            head, tail = self._split(evidence.item, message)
            items["item"], items["item-tail"] = self.part(head), self.part(tail)
        return items

    def _split(self, item: bytes, message: Message) -> tuple[bytes, bytes]:
        """A signed item before and from its data; the same objects however often it is staged."""
        known = self._heads.get(id(item))
        if known is None:
            head, tail = _split_item(item, message, self._blob_bytes)
            known = self._heads[id(item)] = item, head, tail
        return known[1], known[2]


# Most messages are signed like others, so what only their signatures differ in is kept.
_keys_of = lru_cache(maxsize=1024)(frozenset[str])
_encoded_keys = lru_cache(maxsize=1024)(encode_texts)


def encode_commitment(given: Commitment) -> Encoded | Message:
    """A commitment as it stands in its record."""
    if given.extra or not given.signature or len(given.committed) > COMMON_KEYS:
        return given.to_message()
    signature = to_base64url(given.signature).encode()
    fields = (given.device, given.type, given.committed, given.keyid, given.committer, given.bundle)
    return _form_of(*fields, len(signature)).encoded(signature)


@lru_cache(maxsize=1024)
def _form_of(
    device: str,
    type_: str,
    committed: tuple[str, ...],
    keyid: str | None,
    committer: str | None,
    bundle: bool | None,
    length: int,
) -> Form:
    common = Commitment("", device, type_, b"", committed, keyid, committer, bundle)
    return Form(common.to_message(), "signature", length)


def commitment_key(id: str, commitment: str) -> str:
    """The store key of a commitment of the message `id`."""
    return f"{COMMITMENTS}{id}/{escape(commitment)}"


def _split_item(item: bytes, message: Message, blob_bytes: int) -> tuple[bytes, bytes]:
    """A signed item before and from its data, which is a blob already if it is large."""
    for value in message.values():
        if isinstance(value, bytes) and len(value) > blob_bytes and item.endswith(value):
            return item[: -len(value)], value
    return item, b""


@lru_cache(maxsize=2)
def _empty_id(*, is_list: bool = True) -> str:
    """The id of an empty list or message; states hold many."""
    return fresh_id([] if is_list else Message())


def _is_irregular(message: Message) -> bool:
    items = message._items
    if "ao-types" in items:
        return True
    # One search in all names; most messages have none that ends so.
    return "+link" in "".join(items) and any(key.endswith("+link") for key in items)


def _is_stored(key: str) -> bool:
    return not key.startswith("priv") and key not in _NOT_STORED


def _check_depth(depth: int) -> None:
    if depth > MAX_NESTING:
        raise too_deep()


def too_deep() -> TooLarge:
    """The error for what is nested too deep, or deeper than is left of Python's stack."""
    return TooLarge(f"Messages are nested over {MAX_NESTING} deep.")


def is_covered(value: Value) -> bool:
    """Whether the id of a value says all of it, so that it can be stored under its id."""
    if isinstance(value, Message):
        return _NOT_STORED.isdisjoint(value._items) and all(map(is_covered, value.values()))
    return not isinstance(value, list) or all(map(is_covered, value))


def entries(value: Value) -> tuple[str, Mapping[str, bytes]]:
    """The id of a value and all its store entries, for stores that answer from elsewhere.

    Large binaries are hashed in place; `BadRequest` names linked binaries that have to be loaded.
    """
    staging = Staging()
    try:
        staged = staging.add(value)
        if staging.unhashed:
            staging.hashed = {id(large): (large, hash_id(large)) for large in staging.unhashed}
            staging.restart()
            staged = staging.add(value)
    except Unread as need:
        missing = ", ".join(link.id for link in need.links)
        raise BadRequest(f"Load the binaries {missing} first: the id depends on them.") from None
    except RecursionError:
        raise too_deep() from None
    return staged, staging.entries
