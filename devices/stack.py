"""`stack@1.0`: several devices that answer as one (spec/05 §6.1)."""

from __future__ import annotations

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, default, key
from hyperbeam_trio.errors import BadRequest, Halt, HyperbeamError, KeyNotFound, NodeError
from hyperbeam_trio.message import UNSET, Link, Message, Value, as_text, is_private, numbered
from hyperbeam_trio.setting import apply_set

_RESTORED = {"input-prefix": "previous-input-prefix", "output-prefix": "previous-output-prefix"}


class StackDevice(Device):
    """Runs a request through the devices of `device-stack`, one after another or each for itself.

    `mode: Fold` (default): every device gets what the one before it returned. `mode: Map`: every
    device gets the original base, and the result maps entry numbers to results.
    """

    name = "stack@1.0"
    excludes = frozenset({"set", "keys", "schema"})

    @default
    async def run(self, name: str, base: Message, request: Message, context: Context) -> Value:
        """Any key, or only those of `stack-keys` where the base has that list."""
        if not await _answers(name, base, context):
            return await _as_message(base, request, context)
        stack = await _stack_of(base, context)
        mode = request.text("mode", None) or base.text("mode", "Fold")
        if mode == "Map":
            return await _map(stack, base, request, context)
        if mode != "Fold":
            raise BadRequest(f"mode is {mode!r}; a stack knows 'Fold' and 'Map'.")
        return await _fold(stack, base, request, context)

    @key
    async def transform(self, base: Message, request: Message, context: Context) -> Value:
        """The base with the stack's entry active that `key` (or `transform`) names."""
        entry = request.text("key", None) or request.text("transform")
        stack = await _stack_of(base, context)
        if entry not in stack:
            raise KeyNotFound(f"device-stack has no entry {entry!r}; it has {', '.join(stack)}.")
        return _activate(base, entry, stack[entry])


async def _answers(name: str, base: Message, context: Context) -> bool:
    keys = await context.view(base, "stack-keys")
    if keys is None:
        return True
    listed = numbered(keys) if isinstance(keys, Message) else keys
    if isinstance(listed, bytes):
        listed = [part.strip() for part in listed.split(b",")]
    if not isinstance(listed, list):
        raise BadRequest("stack-keys should be a list of key names.")
    return name in {as_text(item) for item in listed}


async def _as_message(base: Message, request: Message, context: Context) -> Value:
    """The request answered by plain message semantics, the stack's device put back after it."""
    fallback = base.set(device=context.config.default_device)
    result = await context.internal().resolve(fallback, request)
    if isinstance(result, Message) and result.get("device") == fallback["device"]:
        return result.set_values({"device": base["device"]})
    return result


async def _stack_of(base: Message, context: Context) -> dict[str, Value]:
    stack = await context.view(base, "device-stack")
    if isinstance(stack, list):
        return {str(number): device for number, device in enumerate(stack, 1)}
    if not isinstance(stack, Message):
        raise BadRequest("no_valid_device_stack: 'device-stack' should be a list of devices.")
    return dict(stack)


def _activate(base: Message, entry: str, device: Value) -> Message:
    """The base with one entry's device and prefixes; what was there is kept as `previous-*`."""
    changes: dict[str, Value] = {
        "previous-device": base.get("device", b"stack@1.0"),
        "device": device,
        "device-key": entry.encode(),
    }
    for plain, previous in _RESTORED.items():
        if plain in base:
            changes[previous] = base[plain]
        own = base.get(f"{plain}es")
        if isinstance(own, list | Message) and (prefix := _entry_of(own, entry)) is not None:
            changes[plain] = prefix
    return base.set_values(changes)


def _entry_of(prefixes: list[Value] | Message, entry: str) -> Value:
    if isinstance(prefixes, Message):
        return prefixes.get(entry)
    number = int(entry) if entry.isdigit() else 0
    return prefixes[number - 1] if 0 < number <= len(prefixes) else None


async def _fold(
    stack: dict[str, Value], base: Message, request: Message, context: Context
) -> Value:
    inner = context.internal()
    caller_pass = base.get("pass")
    state, number, turn = base.set_values({"pass": 1}), 1, 1
    while (entry := str(number)) in stack:
        active = _activate(state, entry, stack[entry])
        try:
            result = await inner.resolve(active, request)
        except KeyNotFound:
            result = active
        except Halt as halt:
            if halt.name == "skip":
                return _finished(_message_of(halt.state, entry), base, caller_pass)
            turn, number = turn + 1, 0
            result = _message_of(halt.state, entry).set_values({"pass": turn})
        except HyperbeamError as error:
            raise _failed(error, entry, stack[entry]) from None
        if not isinstance(result, Message):
            return result
        state, number = result, number + 1
    return _finished(state, base, caller_pass)


def _message_of(state: object, entry: str) -> Message:
    if not isinstance(state, Message):
        raise NodeError(f"Entry {entry} of the stack did not give a message with skip or pass.")
    return state


def _failed(error: HyperbeamError, entry: str, device: Value) -> HyperbeamError:
    """The device's own error, with the entry that raised it."""
    where: dict[str, str | bytes | int | float | bool] = {"device-key": entry}
    where["failed-device"] = as_text(device) or ""
    error.details = {**where, **error.details}
    return error


def _finished(state: Message, base: Message, caller_pass: Value) -> Message:
    """The state as the caller knows it: its device, its prefixes, its pass."""
    values: dict[str, Value] = {
        "device": base.get("device", b"stack@1.0"),
        "pass": UNSET if caller_pass is None else caller_pass,
        "device-key": UNSET,
        "device-stack-previous": UNSET,
    }
    for plain, previous in _RESTORED.items():
        if previous in state:
            values[plain] = state[previous]
    return apply_set(state, values)


async def _map(stack: dict[str, Value], base: Message, request: Message, context: Context) -> Value:
    inner = context.internal()
    results: dict[str, Value] = {}
    for entry, device in stack.items():
        if entry in ("path", "hashpath") or is_private(entry):
            continue
        try:
            result = await inner.resolve(_activate(base, entry, device), request)
        except HyperbeamError:
            continue
        results[entry] = await context.load(result) if isinstance(result, Link) else result
    return Message.of(results)
