"""The envelope of a snapshot: what made it, a check of its bytes, and the state (spec/06 §7.8).

A state holds bytecode, which Lua runs unchecked, so a snapshot must come from this node's own
store: the hash finds damage, not malice.
"""

from __future__ import annotations

import hashlib

from hyperbeam_trio.devices.lua_vm.failures import SnapshotMismatch
from hyperbeam_trio.devices.lua_vm.sandbox import stamp
from hyperbeam_trio.errors import CorruptData

FORMAT = b"lua-vm-1"
_HASH = 32


def wrap(state: bytes) -> bytes:
    """A snapshot of a state's bytes: two lines that say what made it, a hash, the state."""
    head = b"%s\n%s\n" % (FORMAT, stamp().encode())
    return b"".join((head, hashlib.sha256(state).digest(), state))


def unwrap(snapshot: bytes) -> bytes:
    """The state's bytes.

    Raises SnapshotMismatch if another format, Lua or binding made it, CorruptData if its bytes have
    changed since.
    """
    form, _, rest = snapshot.partition(b"\n")
    made_by, _, rest = rest.partition(b"\n")
    if form != FORMAT or made_by != stamp().encode():
        raise SnapshotMismatch(
            f"The snapshot was made by {form[:40]!r}, {made_by[:120]!r}; this node makes "
            f"{FORMAT!r}, {stamp()!r}. Replay the messages instead."
        )
    state = rest[_HASH:]
    if hashlib.sha256(state).digest() != rest[:_HASH]:
        raise CorruptData("The snapshot of a Lua state doesn't match its hash.")
    return state
