"""`json-iface@1.0`: the calling convention of AO's legacy modules, JSON in and out (spec/06 §3)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from hyperbeam_trio.cache.memo import Memo
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.legacy_json import write_json
from hyperbeam_trio.devices.legacy_results import read_response, results_of
from hyperbeam_trio.devices.prefixes import output_path, view_path
from hyperbeam_trio.devices.scheduling.aos2 import item_of
from hyperbeam_trio.devices.wasm.access import access_of
from hyperbeam_trio.errors import BadRequest, GuestError, HyperbeamError
from hyperbeam_trio.message import Message, Value, as_text
from hyperbeam_trio.setting import deep_set

FUNCTION: Final = b"handle"
FAILED: Final = "WASM execution error."

PROCESSES: Final = 64
"""Definitions whose JSON is remembered, which is the same for every slot."""

MESSAGES: Final = 64
"""Messages to come whose JSON is remembered until it is their turn."""


class JsonIfaceDevice(Device):
    """Stands before a VM in a stack of two passes: the first prepares the call of `handle` with
    message and process as JSON, the second reads its answer into `results`.
    """

    name = "json-iface@1.0"

    def __init__(self) -> None:
        self._processes: Memo[int, tuple[Value, bytes]] = Memo(PROCESSES)
        self._messages: Memo[int, tuple[Value, Value, Any, bytes]] = Memo(MESSAGES)

    @key
    async def init(self, base: Message, request: Message, context: Context) -> Value:
        """The base with the `function` to call."""
        return base.set_values({"function": FUNCTION})

    @key
    async def compute(self, base: Message, request: Message, context: Context) -> Value:
        """What the pass asks for; after the second one the base."""
        turn = base.int("pass", 1)
        if turn == 1:
            return await self._prepared(base, request, context)
        return await _answered(base, context) if turn == 2 else base

    @key
    async def to(self, base: Message, request: Message, context: Context) -> Value:
        """The JSON of `message`, or of the base, as programs get it."""
        message = await context.load_all(request.get("message", base))
        if not isinstance(message, Message):
            raise BadRequest("Key 'message' should be a message.")
        return write_json(item_of(message, bundle=True))

    @key("from")
    async def from_(self, base: Message, request: Message, context: Context) -> Value:
        """The results in `json`, a response of a program, or in the base's `json`."""
        given = request if "json" in request else base
        return await _results(read_response(given.binary("json")), base, context)

    async def _prepared(self, base: Message, request: Message, context: Context) -> Message:
        """The base with the parameters of the call; in a guest they are addresses."""
        access = access_of(base)
        texts = await self._texts(base, request, context)
        parameters: list[Value] = [*texts]
        if access is not None:
            following = partial(self._following, base, request, context)
            base, addresses = await access.write_texts(base, texts, context, following)
            parameters = [*addresses]
        return base.set_values({"function": FUNCTION, "parameters": parameters})

    async def _following(
        self, base: Message, request: Message, context: Context
    ) -> Sequence[tuple[bytes, bytes]]:
        """The texts of the requests that are known to come after this one."""
        texts: list[tuple[bytes, bytes]] = []
        for each in request.private.get("following", ()):
            try:
                texts.append(await self._texts(base, each, context))
            except HyperbeamError:
                # Raised again when it is its turn; this request has nothing to do with it.
                break
        return texts

    async def _texts(
        self, base: Message, request: Message, context: Context
    ) -> tuple[bytes, bytes]:
        """Message and process as the guest is given them."""
        process = await self._process_json(base, context)
        held = request.get("body")
        known = self._messages.get(id(held))
        height = _height(request)
        if known is not None and known[0] is held and known[1:3] == (base.get("process"), height):
            return known[3], process
        message = await _loaded(request, "body", context)
        asked = {
            **item_of(message, bundle=True),
            "Module": as_text(await view_path(base, ["process", "image"], context)) or "not_found",
            "Block-Height": height,
        }
        text = write_json(asked)
        self._messages.set(id(held), (held, base.get("process"), height, text))
        return text, process

    async def _process_json(self, base: Message, context: Context) -> bytes:
        held = base.get("process")
        known = self._processes.get(id(held))
        if known is not None and known[0] is held:
            return known[1]
        process = await _loaded(base, "process", context)
        text = write_json({"Process": item_of(process, bundle=True)})
        # What is remembered is kept alive with it, so nothing else can have its identity.
        self._processes.set(id(held), (held, text))
        return text


async def _loaded(holder: Message, name: str, context: Context) -> Message:
    value = await context.load_all(holder.get(name))
    if not isinstance(value, Message):
        raise BadRequest(f"json-iface needs a message under {name!r}.")
    return value


def _height(request: Message) -> Any:
    height = request.get("block-height")
    return height if type(height) is int else as_text(height) or "not_found"


async def _answered(base: Message, context: Context) -> Message:
    """The base with the results that the guest's answer stands for."""
    kind = as_text(await view_path(base, ["results", *output_path(base, "type")], context))
    output = await view_path(base, ["results", *output_path(base, "output")], context)
    if kind != "ok":
        raise GuestError(FAILED, details={"error": as_text(output) or "no result"})
    first = output[0] if isinstance(output, list) and output else output
    access = access_of(base)
    if access is not None and isinstance(first, int):
        first = await access.read_text(base, first, context)
    if not isinstance(first, bytes):
        raise GuestError("JSON error parsing result output.")
    results = await _results(read_response(first), base, context)
    earlier = await context.view(base, "results")
    if isinstance(earlier, Message):
        # The rest is merged, but a mixture of two responses would be none.
        base = base.set_values({"results": earlier.without("raw")})
    return await deep_set(base, {"results": results}, context)


async def _results(response: dict[str, Any], base: Message, context: Context) -> Message:
    process = await context.view(base, "process")
    if not isinstance(process, Message):
        return results_of(response, None, None)
    return results_of(response, signed_id(process), as_text(process.get("image")))
