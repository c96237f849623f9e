"""Who can check commitments: one function for each commitment device (spec/02 §8, §13).

Codecs put theirs here when they are imported; a device that nobody knows verifies nothing.
"""

from __future__ import annotations

from typing import Final, Protocol

from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.errors import ConfigError
from hyperbeam_trio.message import Message


class Verifier(Protocol):
    """Whether a commitment holds for a message; `secret` is the key of a `secret:` keyid.

    Never raises for bad data: what can't be checked does not hold.
    """

    def __call__(
        self, message: Message, commitment: Commitment, *, secret: bytes | None = None
    ) -> bool: ...


MAX_VERIFIERS: Final = 64
_VERIFIERS: Final[dict[str, Verifier]] = {}


def register_verifier(device: str, verifier: Verifier) -> None:
    """Let `verifier` check the commitments of `device`, in place of whoever did so far."""
    if device not in _VERIFIERS and len(_VERIFIERS) >= MAX_VERIFIERS:
        raise ConfigError(f"There are over {MAX_VERIFIERS} commitment devices.")
    _VERIFIERS[device] = verifier


def holds(message: Message, commitment: Commitment, *, secret: bytes | None = None) -> bool:
    """Whether a commitment holds for `message`; never one whose device is unknown."""
    verifier = _VERIFIERS.get(commitment.device)
    return verifier is not None and verifier(message, commitment, secret=secret)
