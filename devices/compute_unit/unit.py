"""Asking a compute unit over HTTP: where the routes lead, JSON in and out (spec/05 §9).

Whatever goes wrong here says nothing about the process: every error is one that another try may
mend, so that none becomes the outcome of a slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from hyperbeam_trio.context import Context
from hyperbeam_trio.errors import BadRequest, NodeError, NotFound, RemoteError
from hyperbeam_trio.http.dispatch import request as dispatch
from hyperbeam_trio.http.pool import Unreachable
from hyperbeam_trio.http.remote import RAW, Reply
from hyperbeam_trio.message import Message, Value

JSON: Final[Mapping[str, str]] = {"content-type": "application/json", "accept": "application/json"}

_OF_RESULTS: Final = frozenset({"Output", "Messages", "Spawns", "Assignments", "Error", "Data"})
_SHOWN: Final = 500


class NoComputeUnit(RemoteError):
    """No compute unit takes a request."""

    status = 503


async def post(
    path: str, body: bytes, context: Context, *, headers: Mapping[str, str] = JSON
) -> Reply:
    """The answer of the unit that the node's routes name for `path`; its status is 200 to 299.

    Raises `NoComputeUnit` (503) where none is reached, `RemoteError` (502) for another status,
    `DeadlineExceeded` (504).
    """
    asked: dict[str, Value] = {key: text.encode() for key, text in headers.items()}
    asked |= {"path": path.encode(), "method": b"POST", "body": body, "codec-device": RAW.encode()}
    reply = await _asked(path, Message.of(asked), context)
    if not 200 <= reply.status < 300:
        text = reply.message.get("body")
        said = text[:_SHOWN].decode("utf-8", "replace") if isinstance(text, bytes) else ""
        raise RemoteError(
            f"The compute unit answered {_place(path)} with status {reply.status}: {said}",
            details={"unit-status": reply.status},
        )
    return reply


async def _asked(path: str, message: Message, context: Context) -> Reply:
    try:
        replies = await dispatch(message, context)
    except Unreachable as error:
        raise NoComputeUnit(
            f"No compute unit answers {_place(path)}: {error.text} Start one at port "
            f"{context.config.genesis_wasm_port} (option genesis-wasm-port), or route its paths."
        ) from error
    except (BadRequest, NotFound) as error:
        # The caller did nothing wrong: the node's routes don't lead anywhere.
        raise NodeError(f"No compute unit for {_place(path)}: {error.text}", status=503) from error
    if isinstance(replies, Reply):
        return replies
    if not replies:
        raise NoComputeUnit(f"No compute unit answers {_place(path)}.")
    return replies[0]


async def results(path: str, asked: bytes, context: Context) -> dict[str, Any]:
    """What a program made of a message: the unit's JSON object of `Output`, `Messages`, …

    Raises as `post` does, and `RemoteError` (502) for an answer that is no such object.
    """
    reply = await post(path, asked, context)
    text = reply.message.get("body")
    try:
        found = orjson.loads(text) if isinstance(text, bytes) else None
    except orjson.JSONDecodeError as error:
        raise _rubbish(path, text, f"no JSON: {error}") from error
    if not isinstance(found, dict) or not _OF_RESULTS & found.keys():
        raise _rubbish(path, text, "no results of a program")
    return found


def _rubbish(path: str, text: Value, what: str) -> RemoteError:
    said = text[:_SHOWN].decode("utf-8", "replace") if isinstance(text, bytes) else ""
    return RemoteError(f"The compute unit answered {_place(path)} with {what}. It said: {said!r}")


def _place(path: str) -> str:
    return path.partition("?")[0]
