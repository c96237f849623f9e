"""Location records in permanent storage, found through the gateway (spec/05 §4.9).

The gateway's index names a record by who signed it; the record itself is read from a store of the
gateway, which verifies it. So a gateway can hide a record or give an older one, but make up none.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import orjson
import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.memo import Memo
from hyperbeam_trio.errors import HyperbeamError, RemoteError
from hyperbeam_trio.message import Message
from hyperbeam_trio.store import StoreSpec, open_store

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node

log = logging.getLogger("hyperbeam_trio.location")

SECONDS: Final = 20.0
"""How long a look-up may take in all."""
ABSENT_SECONDS: Final = 60.0
"""For so long nobody asks again for what was not there."""
ADDRESSES: Final = 4096
"""Addresses of which it is remembered that nothing was there."""

_QUERY: Final = (
    "query($owners: [String!]!, $name: String!, $values: [String!]!) { "
    "transactions(owners: $owners, tags: [{name: $name, values: $values}], first: 1) "
    "{ edges { node { id } } } }"
)
_NEW: Final = ("type", ["location"])
_LEGACY: Final = ("Type", ["Location", "Scheduler-Location"])
_JSON: Final = ((b"content-type", b"application/json"), (b"accept", b"application/json"))


class Lookup:
    """Asks the gateway of option `gateway`, in mode `prod` only; of one node."""

    def __init__(self) -> None:
        self._absent_until: Memo[str, float] = Memo(ADDRESSES)

    async def find(self, address: str, node: Node) -> Message | None:
        """The newest record that an address has signed, verified; `None` if none can be had."""
        until = self._absent_until.get(address)
        if node.config.mode != "prod" or (until is not None and trio.current_time() < until):
            return None
        record = None
        with trio.move_on_after(SECONDS):
            record = await _find(address, node)
        if record is None:
            self._absent_until.set(address, trio.current_time() + ABSENT_SECONDS)
        return record


async def _find(address: str, node: Node) -> Message | None:
    tags = [_NEW, _LEGACY] if node.config.scheduler_legacy_locations else [_NEW]
    for name, values in tags:
        try:
            id = await _indexed(address, name, values, node)
            record = None if id is None else await _read(id, node)
        except HyperbeamError as error:
            log.warning("No location of %s from %s: %s", address, node.config.gateway, error.text)
            return None
        if record is not None and address in record.signers:
            return record
    return None


async def _indexed(address: str, name: str, values: list[str], node: Node) -> str | None:
    """The id of the newest item of an address with a tag."""
    variables = {"owners": [address], "name": name, "values": values}
    answer = await node.http_client.request(
        "POST",
        f"{node.config.gateway.rstrip('/')}/graphql",
        headers=_JSON,
        body=orjson.dumps({"query": _QUERY, "variables": variables}),
        # The operator wrote the gateway's URL, so it may be a private one.
        allow_private=True,
        redirects="anywhere",
    )
    if answer.status != 200:
        raise RemoteError(f"Its index answered {answer.status}.")
    return _first_id(answer.body)


def _first_id(body: bytes) -> str | None:
    try:
        found: Any = orjson.loads(body)["data"]["transactions"]["edges"]
        return str(found[0]["node"]["id"]) if found else None
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError) as error:
        raise RemoteError("Its index answered with no list.") from error


async def _read(id: str, node: Node) -> Message | None:
    store = await open_store(StoreSpec("gateway", node.config.gateway, {"retries": "0"}))
    try:
        cache = Cache(store)
        record = await cache.load_all(await cache.read(id))
    finally:
        with trio.CancelScope(shield=True):
            await store.close()
    return record if isinstance(record, Message) else None
