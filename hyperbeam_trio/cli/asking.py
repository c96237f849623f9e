"""What the command line asks of a node over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.httpsig import HTTPSIG, encode
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.errors import HyperbeamError, NotFound, RemoteError
from hyperbeam_trio.message import Message, Value

if TYPE_CHECKING:
    import httpx

DEFAULT_NODE = "http://127.0.0.1:8734"

TIMEOUT = 120
"""Seconds that a node may take to answer."""

_TRANSPORT = frozenset({"content-length", "date", "server", "status", "cache-status", "connection"})


async def fetch(node: str, path: str) -> Value:
    """The value of a path: the one that the answer carries, or its message."""
    answer = await request(node, "GET", path, [(b"accept-bundle", b"true")])
    return value_of(answer)


async def post(node: str, path: str, signed: Message) -> Value:
    """What the node answers to a signed message that is posted to `path`."""
    encoded = encode(signed, bundle=True)
    headers = [(name.encode(), value) for name, value in encoded.headers]
    headers.append((b"accept-bundle", b"true"))
    answer = await request(node, "POST", path, headers, content=encoded.body or b"")
    return value_of(answer)


async def request(
    node: str, method: str, path: str, headers: list[tuple[bytes, bytes]], **options: Any
) -> httpx.Response:
    """One answer; `RemoteError` where there is none, a `HyperbeamError` where it is a refusal."""
    import httpx

    try:
        async with httpx.AsyncClient(timeout=TIMEOUT) as client:
            url = node.rstrip("/") + path
            answer = await client.request(method, url, headers=headers, **options)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RemoteError(f"{node} did not answer: {error}") from None
    if answer.status_code >= 400:
        raise _refusal(node, path, answer)
    return answer


def _refusal(node: str, path: str, answer: httpx.Response) -> HyperbeamError:
    text = answer.text.strip()
    if answer.status_code == 404:
        return NotFound(f"{node} has nothing at {path}: {text}")
    return HyperbeamError(f"{node} refused: {answer.status_code} {text}", status=answer.status_code)


def value_of(answer: httpx.Response) -> Value:
    """The value that an answer carries: its one key, or the message without transport keys."""
    pairs = [(name.decode().lower(), value) for name, value in answer.headers.raw]
    message = HTTPSIG.decode(pairs, answer.content or None)
    single = message.text("ao-result", None)
    if single is not None:
        return message.get(single, b"")
    return Message.of({k: v for k, v in message.items() if not _is_transport(k)})


def _is_transport(key: str) -> bool:
    return key in _TRANSPORT or key.startswith("access-control-")


async def sign(message: Message, wallet: Wallet) -> Message:
    """The message with the wallet's commitment, nested messages inside."""
    return await commit_signed(message, wallet, limiter=trio.CapacityLimiter(1), bundle=True)
