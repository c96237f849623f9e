"""What a call of a guest is in the protocol: where it is named, where its outcome goes."""

from __future__ import annotations

from collections.abc import Sequence

from hyperbeam_trio.context import Context
from hyperbeam_trio.devices.prefixes import output_path
from hyperbeam_trio.devices.wasm.signature import Argument, Number
from hyperbeam_trio.errors import GuestError
from hyperbeam_trio.message import Atom, Message, Value, as_text
from hyperbeam_trio.setting import set_path


async def call_of(
    state: Message, request: Message, context: Context
) -> tuple[str | None, list[Argument]]:
    """What a request, its body or the state names: function, parameters (spec/06 §1.2)."""
    body = await context.view(request, "body")
    inner = body if isinstance(body, Message) else Message()
    function = inner.get("function") or request.get("function") or state.get("function")
    for message in (inner, request, state):
        if "parameters" in message:
            loaded = await context.load_all(message["parameters"])
            listed = Message.of({"parameters": loaded}).list("parameters")
            return as_text(function), [_argument(item) for item in listed]
    return as_text(function), []


def _argument(item: Value) -> Argument:
    return item if isinstance(item, int | float | bytes) else str(as_text(item))


async def with_results(
    state: Message, output: Sequence[Number] | GuestError, context: Context
) -> Message:
    """The state with what a call gave in `results`, below the output prefix (spec/06 §1.2)."""
    if isinstance(output, GuestError):
        outcome: dict[str, Value] = {"type": Atom("error"), "output": output.text.encode()}
    else:
        outcome = {"type": Atom("ok"), "output": list(output)}
    for name, value in outcome.items():
        path = ["results", *output_path(state, name)]
        state = await set_path(state, path, value, context)
    return state
