"""Reading messages from the layout that HyperBEAM gives its stores (spec/04 §4 to §6.3).

There, a store maps paths to bytes, groups and links. A message is a group `ID`, whose members lead
to `data/HASH`; a nested one is a member `KEY+link` that holds an id; commitments are messages that
a group of their own leads to; other ids and names are links. Nothing in it says whether it is
whole, and computed results may lie among a message's own keys, so each message has to prove itself:
by its id, computed in today's form or that of June 2025, or by the commitments that are stored
with it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import entry_points
from itertools import combinations, islice
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from hyperbeam_trio.codec.ids import fresh_id, june_link_id
from hyperbeam_trio.codec.json import write_json
from hyperbeam_trio.codec.structured import from_tabm, read_commitment
from hyperbeam_trio.codec.tabm import Tabm
from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.errors import BadRequest, ConfigError, CorruptData
from hyperbeam_trio.message import Link, Message, Value
from hyperbeam_trio.store import MAX_VALUE_BYTES
from hyperbeam_trio.verifiers import holds

ENTRY_POINTS: Final = "hyperbeam_trio.layouts"
DATA: Final = "data"
_COMMITMENTS: Final = "commitments"
_LINK: Final = "+link"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}")
MOST_LINKS: Final = 1000
"""Links that are followed from one path."""
MOST_GUESSES: Final = 400
"""Sets of keys that are tried, to find out which of a message's keys came later."""
_DEEPEST: Final = 8
"""Messages within messages that are read as one, as commitments are."""
MOST_WHOLE: Final = MAX_VALUE_BYTES
"""Bytes of a message with all that it holds: a few that hold each other often come to many."""
_MESSAGE_BYTES: Final = 1000
"""What a message costs, besides its values."""
_DEEPEST_KEY: Final = 255
"""Slashes in a key; a path in LMDB has room for no more."""
_CHILDREN: Final = 1000


class Group(Enum):
    """The type of `GROUP`, an entry that has members."""

    GROUP = "GROUP"


GROUP: Final = Group.GROUP


@dataclass(frozen=True, slots=True)
class Pointer:
    """An entry that stands for the one at `target`."""

    target: str


Entry: TypeAlias = "bytes | Group | Pointer | None"


class Tree(Protocol):
    """A store of HyperBEAM's, looked at without changing it. Raises `CorruptData`, `StoreError`."""

    def entry(self, path: str) -> Entry:
        """What lies at a path, links not followed; `None` for nothing."""

    def children(self, path: str, after: str, limit: int) -> Sequence[str]:
        """The names below a path ("" is the root) behind `after`, in an order that stays."""

    def close(self) -> None:
        """Let go of files."""


def open_tree(root: Path) -> Tree:
    """The store of HyperBEAM's in a directory, of files or LMDB; `ConfigError` if there is none."""
    kind = "lmdb" if os.path.exists(root / "data.mdb") else "fs"
    for point in entry_points(group=ENTRY_POINTS, name=kind):
        tree: Tree = point.load().open(root)
        if not _holds_messages(tree):
            tree.close()
            raise ConfigError(
                f"{root} is no store of HyperBEAM's: it holds neither binaries below 'data' nor "
                f"messages under their ids{_hint(root)}."
            )
        return tree
    raise ConfigError(f"Nothing is installed that reads the {kind} layout of HyperBEAM.")


def _holds_messages(tree: Tree) -> bool:
    below = tree.children(DATA, "", 1)
    return bool(below) or any(is_id(name) for name in tree.children("", "", _CHILDREN))


def _hint(root: Path) -> str:
    inner = sorted(root.glob("*/data.mdb"))
    return f"; there may be one in {inner[0].parent}" if inner else ""


@dataclass(frozen=True, slots=True)
class Proven:
    """What was read under an id, and what speaks for it.

    `alias` is set when the id is that of June 2025; `named` says whether the id is accounted for
    at all, else only signatures are. `left_out` are members that are not part of the message,
    `false` the ids of commitments that do not hold or can't be read.
    """

    value: Message | list[Value]
    alias: bool = False
    named: bool = True
    left_out: tuple[str, ...] = ()
    false: tuple[str, ...] = ()


def is_id(text: str) -> bool:
    """Whether a name at the root is an id."""
    return _ID.fullmatch(text) is not None


class _Allowance:
    """The bytes that may still be read of a message with all that it holds."""

    def __init__(self, size: int) -> None:
        self._left = size

    def spend(self, tabm: Tabm) -> None:
        """Take what a message comes to; `CorruptData` when nothing is left."""
        values = (value for value in tabm.values() if isinstance(value, bytes))
        self._left -= _MESSAGE_BYTES + sum(map(len, values))
        if self._left < 0:
            raise CorruptData(f"A message with all that it holds has over {MOST_WHOLE} bytes.")


class OlderMessages:
    """Messages of a tree, each proven or refused."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    # Paths.

    def find(self, path: str) -> tuple[str, bytes | Group] | None:
        """The entry of a path, links followed everywhere, and where it lies."""
        for _ in range(MOST_LINKS):
            entry = self._tree.entry(path)
            if entry is None:
                further = self._through_link(path)
                if further is None:
                    return None
                path = further
            elif isinstance(entry, Pointer):
                path = entry.target
            else:
                return path, entry
        raise CorruptData(f"{path} leads through over {MOST_LINKS} links.")

    def _through_link(self, path: str) -> str | None:
        parts = path.split("/")
        for end in range(1, len(parts)):
            entry = self._tree.entry("/".join(parts[:end]))
            if isinstance(entry, Pointer):
                return "/".join([entry.target, *parts[end:]])
        return None

    def members(self, path: str) -> Iterator[str]:
        """All names below a path."""
        after = ""
        while names := self._tree.children(path, after, _CHILDREN):
            yield from names
            if len(names) < _CHILDREN:
                break
            after = names[-1]

    def binary(self, path: str) -> bytes:
        """The bytes that a path leads to; `CorruptData` if they are not what their hash says."""
        where, value = self.find(path) or (path, GROUP)
        if not isinstance(value, bytes):
            raise CorruptData(f"{path} leads to no bytes.")
        return _checked(path, where, value)

    # Messages.

    def message(self, id: str) -> Proven | None:
        """The message or list that lies under an id; `CorruptData` if nothing speaks for it.

        `None` for the commitments of a message, which are taken with it.
        """
        try:
            return self._message(id)
        except BadRequest as problem:
            raise CorruptData(f"{id} can't be read: {problem.text}") from problem

    def _message(self, id: str) -> Proven | None:
        value = from_tabm(self._tabm(id))
        if isinstance(value, list):
            return _proven_list(id, value)
        commitments, rubbish = self._commitments(id)
        true = {one.id for one in commitments if self._holds(value, one)}
        if not true and not _has_id(value, id) and self._is_of_commitments(id):
            return None
        return _proven(id, value, commitments, true, rubbish)

    def plain_json(self, path: str) -> bytes:
        """JSON of the message that a path leads to, with all that is nested in it.

        It has the keys `signature` of items inside, which no message of ours keeps. Raises
        `CorruptData` for what can't be written so.
        """
        try:
            return write_json(self._whole(path, 0, _Allowance(MOST_WHOLE)), bundle=True)
        except BadRequest as problem:
            raise CorruptData(f"{path} can't be read: {problem.text}") from problem

    def _is_of_commitments(self, path: str) -> bool:
        """Whether a group is a commitment of some message, or leads to such by their ids."""
        names = list(self.members(path))
        if "commitment-device" in names and "signature" in names:
            return True
        found = (is_id(name) and self._is_commitment(path, name) for name in names)
        return bool(names) and all(found)

    def _is_commitment(self, path: str, name: str) -> bool:
        found = self.find(f"{path}/{name}")
        return found is not None and self.find(f"{found[0]}/commitment-device") is not None

    def _tabm(self, path: str) -> Tabm:
        tabm: Tabm = {}
        for name in self.members(path):
            if name != _COMMITMENTS:
                self._read_member(tabm, name, f"{path}/{name}", 0)
        return tabm

    def _read_member(self, tabm: Tabm, name: str, path: str, depth: int) -> None:
        if not _is_text(name):
            raise CorruptData(f"{path} has a name that is no UTF-8.")
        found = self.find(path)
        if found is None:
            raise CorruptData(f"{path} leads to nothing.")
        where, entry = found
        if isinstance(entry, bytes):
            tabm[name] = _checked(path, where, entry)
        elif is_id(where):
            # Written without links: the member itself leads to the nested message.
            tabm[name + _LINK] = where.encode()
        elif where != path or depth > _DEEPEST_KEY:
            # Links among groups may go around in rings.
            raise CorruptData(f"{path} leads to {where}, which is no message.")
        else:
            # A key with a slash in it.
            for inner in self.members(where):
                self._read_member(tabm, f"{name}/{inner}", f"{where}/{inner}", depth + 1)

    def _commitments(self, id: str) -> tuple[list[Commitment], list[str]]:
        """The commitments of a message, and the ids of those that can't be read."""
        found, rubbish = [], []
        group = self.find(f"{id}/{_COMMITMENTS}")
        for name in self.members(group[0]) if group is not None else ():
            try:
                fields = self._whole(f"{id}/{_COMMITMENTS}/{name}", 0, _Allowance(MOST_WHOLE))
                found.append(read_commitment(name, _listing(fields)))
            except (BadRequest, CorruptData):
                rubbish.append(name)
        return found, rubbish

    def _holds(self, message: Message, commitment: Commitment) -> bool:
        if not commitment.bundle:
            return holds(message, commitment)
        # It covers what is nested with all it holds, not by its id.
        allowance = _Allowance(MOST_WHOLE)
        try:
            whole = {key: self._loaded(value, 0, allowance) for key, value in message.items()}
        except (BadRequest, CorruptData):
            return False
        return holds(message.set_values(whole), commitment)

    def _whole(self, path: str, depth: int, allowance: _Allowance) -> Message | list[Value]:
        """A message with all that is nested in it."""
        found = self.find(path)
        if found is None or depth >= _DEEPEST:
            raise CorruptData(f"{path} is not stored, or nested too deep.")
        tabm = self._tabm(found[0])
        allowance.spend(tabm)
        value = from_tabm(tabm)
        if isinstance(value, list):
            return [self._loaded(item, depth, allowance) for item in value]
        return value.set_values(
            {key: self._loaded(item, depth, allowance) for key, item in value.items()}
        )

    def _loaded(self, value: Value, depth: int, allowance: _Allowance) -> Value:
        return self._whole(value.id, depth + 1, allowance) if isinstance(value, Link) else value


def _is_text(name: str) -> bool:
    # What was no UTF-8 in the tree is a lone surrogate here.
    return name.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in name)


def _checked(path: str, where: str, value: bytes) -> bytes:
    """The bytes that lie at `where`, to which `path` leads, if their hash holds."""
    directory, _, name = where.partition("/")
    if directory == DATA and hash_id(value) != name:
        raise CorruptData(f"{path}: the hash of {where} does not hold.")
    return value


def _proven_list(id: str, value: list[Value]) -> Proven:
    if fresh_id(value) == id:
        return Proven(value)
    if june_link_id(value) == id:
        return Proven(value, alias=True)
    raise CorruptData(f"{id}: the list that lies there has another id.")


def _listing(fields: Message | list[Value]) -> Message | list[Value]:
    """A commitment whose list of keys is a list, also where there are none."""
    if isinstance(fields, Message) and fields.get("committed") == Message():
        return fields.set_values({"committed": []})
    return fields


def _proven(
    id: str,
    message: Message,
    commitments: Sequence[Commitment],
    holding: Collection[str],
    rubbish: Sequence[str],
) -> Proven:
    true = [commitment for commitment in commitments if commitment.id in holding]
    kept = message if _has_id(message, id) else _kept_of(id, message, true)
    if kept is None:
        raise CorruptData(f"{id}: what lies there has another id, and no commitment holds for it.")
    vouched = id in {commitment.id for commitment in true}
    old = not vouched and fresh_id(kept) != id and june_link_id(kept) == id
    return Proven(
        kept.with_commitments(true),
        alias=old,
        named=vouched or old or fresh_id(kept) == id,
        left_out=tuple(key for key in message if key not in kept),
        false=(*[one.id for one in commitments if one not in true], *rubbish),
    )


def _kept_of(id: str, message: Message, true: Sequence[Commitment]) -> Message | None:
    """The message without the keys that came later, as commitments or else its id tell."""
    if true:
        return _only(message, {key for commitment in true for key in commitment.committed})
    guesses = islice(_fewer(sorted(message)), MOST_GUESSES)
    candidates = (_only(message, keys) for keys in guesses)
    return next((candidate for candidate in candidates if _has_id(candidate, id)), None)


def _fewer(keys: Sequence[str]) -> Iterator[set[str]]:
    """All but one of `keys`, all but two, and so on."""
    for count in range(1, len(keys) + 1):
        for gone in combinations(keys, count):
            yield set(keys).difference(gone)


def _only(message: Message, keys: Iterable[str]) -> Message:
    wanted = frozenset(keys)
    return Message.of({key: value for key, value in message.items() if key in wanted})


def _has_id(message: Message, id: str) -> bool:
    return id in (fresh_id(message), june_link_id(message))
