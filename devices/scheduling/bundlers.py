"""Bundlers: who takes signed messages into permanent storage (spec/05 §4.5, spec/07 §17).

A message goes to the bundler of each codec that it is signed in: option `bundler-ans104` takes
items, `bundler-httpsig` headers and a body. Without these options nothing is uploaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hyperbeam_trio.codec.ans104 import write_item
from hyperbeam_trio.codec.httpsig import encode
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.errors import RemoteError
from hyperbeam_trio.http.exchange import Header
from hyperbeam_trio.message import Message

if TYPE_CHECKING:
    from hyperbeam_trio.config import NodeConfig
    from hyperbeam_trio.node import Node

SECONDS: Final = 30.0
"""How long a bundler may take for one message."""
_PASSING: Final = frozenset({408, 425, 429})
"""Refusals below 500 that are worth another try."""
_HAD_ALREADY: Final = 208


class Rejected(RemoteError):
    """A bundler will not take this message, however often it is sent."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One message in the form that one bundler takes."""

    url: str
    headers: list[Header]
    body: bytes


def is_configured(config: NodeConfig) -> bool:
    """Whether there is any bundler."""
    return config.bundler_ans104 is not None or config.bundler_httpsig is not None


def uploads_of(message: Message, config: NodeConfig) -> Iterator[Upload]:
    """What is to be sent where for a loaded message; nothing where no bundler takes its codecs."""
    devices = {c.device for c in message.commitments.values() if c.committer is not None}
    if "ans104@1.0" in devices and config.bundler_ans104 is not None:
        item = write_item(message).to_bytes()
        headers = [(b"content-type", b"application/octet-stream")]
        yield Upload(_tx(config.bundler_ans104), headers, item)
    if "httpsig@1.0" in devices and config.bundler_httpsig is not None:
        encoded = encode(message, bundle=False)
        headers = [(name.encode(), value) for name, value in encoded.headers]
        yield Upload(_tx(config.bundler_httpsig), headers, encoded.body or b"")


def _tx(bundler: str) -> str:
    return f"{bundler.rstrip('/')}/tx"


async def upload(message: Message, node: Node) -> int:
    """Send a loaded message to its bundlers; how many took it.

    Raises `Rejected` when one refuses it for good, and `RemoteError`, `DeadlineExceeded` or `Busy`
    for what may pass.
    """
    taken = 0
    for each in uploads_of(message, node.config):
        # The operator wrote the bundler's URL, so it may be a private one.
        answer = await node.http_client.request(
            "POST",
            each.url,
            headers=each.headers,
            body=each.body,
            deadline=SECONDS,
            allow_private=True,
        )
        if answer.status >= 300 and answer.status != _HAD_ALREADY:
            text = answer.body[:200].decode("utf-8", "replace")
            kind = RemoteError if answer.status in _PASSING or answer.status >= 500 else Rejected
            raise kind(f"{each.url} answered {answer.status} to {signed_id(message)}: {text}")
        taken += 1
    return taken
