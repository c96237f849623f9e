"""`message@1.0`: what every message can do (spec/01 §13, spec/03 §7)."""

from __future__ import annotations

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, default, key
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import UNSET, Message, Value, as_text, public_keys
from hyperbeam_trio.resolver import direct_value
from hyperbeam_trio.setting import apply_set, deep_set, values_to_set


class MessageDevice(Device):
    """Reading, changing, naming and signing messages; the device of messages that name none."""

    name = "message@1.0"
    excludes = frozenset({"info"})

    @default
    async def value(self, name: str, base: Message, request: Message, context: Context) -> Value:
        """The value under a key, or under its lower-case form."""
        return direct_value(base, name)

    @key
    async def get(self, base: Message, request: Message, context: Context) -> Value:
        """The value under the key that the request names in `key`."""
        return direct_value(base, request.text("key", "get"))

    @key
    async def keys(self, base: Message, request: Message, context: Context) -> Value:
        """The public keys, sorted."""
        return [name.encode() for name in public_keys(base)]

    @key
    async def set(self, base: Message, request: Message, context: Context) -> Value:
        """The base with the request's keys set: deep, or shallow with `set-mode: explicit`."""
        values = values_to_set(request)
        mode = request.text("set-mode", "deep")
        if mode == "explicit":
            return apply_set(base, values)
        if mode != "deep":
            raise BadRequest(f"set-mode is {mode!r}; expected 'deep' or 'explicit'.")
        return await deep_set(base, values, context)

    @key("set-path")
    async def set_path(self, base: Message, request: Message, context: Context) -> Value:
        """The base with its own `path` key set to `value`; `unset` removes it."""
        if "value" not in request:
            raise BadRequest("set-path needs a key 'value': the path, or unset.")
        return apply_set(base, {"path": request["value"]})

    @key
    async def remove(self, base: Message, request: Message, context: Context) -> Value:
        """The base without the keys that `item` or `items` name."""
        items = request.list("items", [])
        names = [as_text(item) for item in items] if items else [request.text("item")]
        return apply_set(base, {name: UNSET for name in names if name})
