"""What ties a slot to all slots before it: `hash-chain` and `base-hashpath` (spec/05 §4.5)."""

from __future__ import annotations

from hashlib import sha256

from hyperbeam_trio.crypto.encoding import human_id, native_id
from hyperbeam_trio.hashpath import DEFAULT_ALGORITHM, extend


def extend_chain(previous: str | None, message: str) -> str:
    """The `hash-chain` of a slot: of the one before (`None` for slot 0) and its message's id."""
    before = b"" if previous is None else native_id(previous)
    return human_id(sha256(before + message.encode()).digest())


def first_base(process: str) -> str:
    """The `base-hashpath` of slot 0."""
    return process


def extend_base(previous: str, assignment: str, algorithm: str = DEFAULT_ALGORITHM) -> str:
    """The `base-hashpath` of a slot: of the one before it and that one's assignment id."""
    return extend(previous, assignment, algorithm)
