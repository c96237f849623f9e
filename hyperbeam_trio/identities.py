"""The identities that a node signs for: its wallet, and those of option `identities`.

    [identities.alice]
    priv-wallet = "alice.json"

An identity is named by its name or its address (spec/05 §12).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import trio

from hyperbeam_trio.crypto.key_file import load_wallet
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.errors import ConfigError

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node


class Identities:
    """Finds wallets by name or address; key files are read when they are first needed."""

    def __init__(self) -> None:
        self._table: Mapping[str, Any] = {}
        self._named: dict[str, Wallet] = {}

    async def find(self, names: Iterable[str], node: Node) -> list[Wallet]:
        """The wallets of those `names` that are identities of `node`, each once, in their order.

        Raises `ConfigError` for a key file that can't be read.
        """
        asked = list(names)
        found = {node.address: node.wallet} if node.address in asked else {}
        if node.config.identities:
            await self._load(node.config.identities)
            for name in asked:
                wallet = self._named.get(name)
                if wallet is not None:
                    found[wallet.address] = wallet
        return list(found.values())

    async def _load(self, table: Mapping[str, Any]) -> None:
        """Read the key files; at once for as long as the option stays the same."""
        if table is self._table:
            return
        named: dict[str, Wallet] = {}
        for name, entry in table.items():
            wallet = await trio.to_thread.run_sync(load_wallet, _key_file(name, entry))
            named[name] = named[wallet.address] = wallet
        self._table, self._named = table, named


def _key_file(name: str, entry: Any) -> str:
    place = entry.get("priv-wallet") if isinstance(entry, Mapping) else entry
    if not isinstance(place, str) or not place:
        raise ConfigError(
            f"identities: {name!r} needs 'priv-wallet', the path of a key file, not {entry!r:.80}."
        )
    return place
