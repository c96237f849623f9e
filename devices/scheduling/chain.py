"""What ties a slot to all slots before it: `hash-chain` and `base-hashpath` (spec/05 §4.5)."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

from hyperbeam_trio.crypto.encoding import human_id, is_id, native_id
from hyperbeam_trio.hashpath import DEFAULT_ALGORITHM, extend

Form = Literal["bytes", "text"]
"""How the previous value went into the hash: as its 32 bytes, or, by E after a restart, as text."""


def extend_chain(previous: str | None, message: str) -> str:
    """The `hash-chain` of a slot: of the one before (`None` for slot 0) and its message's id."""
    before = b"" if previous is None else native_id(previous)
    return human_id(sha256(before + message.encode()).digest())


def chain_form(previous: str | None, message: str, value: str) -> Form | None:
    """In which form `value` continues a chain; `None` when it does not.

    June 2025 goes on with the text of the last value after a restart; ours never does, but a
    reader takes both and can tell.
    """
    if previous is not None and not is_id(previous):
        return None
    if value == extend_chain(previous, message):
        return "bytes"
    text = (previous or "") + message
    return "text" if value == human_id(sha256(text.encode()).digest()) else None


def first_base(process: str) -> str:
    """The `base-hashpath` of slot 0."""
    return process


def extend_base(previous: str, assignment: str, algorithm: str = DEFAULT_ALGORITHM) -> str:
    """The `base-hashpath` of a slot: of the one before it and that one's assignment id."""
    return extend(previous, assignment, algorithm)
