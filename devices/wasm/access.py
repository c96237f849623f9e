"""How a device beside wasm-64@1.0 in a stack puts texts into its guest and takes them out.

The access lies in the private part of the state, below the output prefix (spec/06 §1.1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

from hyperbeam_trio.context import Context
from hyperbeam_trio.devices.prefixes import output_path
from hyperbeam_trio.message import Message

Following: TypeAlias = "Callable[[], Awaitable[Sequence[tuple[bytes, ...]]]]"


class GuestAccess(Protocol):
    """Texts in and out of the guest behind a state."""

    async def write_texts(
        self,
        state: Message,
        texts: Sequence[bytes],
        context: Context,
        following: Following | None = None,
    ) -> tuple[Message, list[int]]:
        """The state after the guest got `texts`, in this order, and their addresses.

        `following` gives the texts of the calls that are known to come next, each for `handle`; it
        is asked when the guest has time for them.
        """

    async def read_text(self, state: Message, address: int, context: Context) -> bytes:
        """The bytes from an address up to NUL."""


def access_key(base: Message) -> str:
    """The private entry that holds the access."""
    return "wasm-access:" + "/".join(output_path(base))


def access_of(base: Message) -> GuestAccess | None:
    """The access to the guest behind a state; None if there is no guest."""
    found: GuestAccess | None = base.private.get(access_key(base))
    return found
