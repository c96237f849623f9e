"""`message@1.0`: what every message can do (spec/01 §13, spec/03 §7)."""

from __future__ import annotations

from hyperbeam_trio.cache.streaming import load_verifiable, streamed
from hyperbeam_trio.codec.commit import commit_signed, commit_unsigned
from hyperbeam_trio.commitments import Selector, committed_keys, selected_id, verify_message
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, default, key
from hyperbeam_trio.errors import BadRequest, Forbidden, KeyNotFound, NotFound
from hyperbeam_trio.message import (
    UNSET,
    Link,
    Message,
    Resolve,
    Value,
    as_text,
    public_keys,
    to_value,
)
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
        """The public keys, sorted; `commitments` is one of them where there are any."""
        names = public_keys(base) + ["commitments"] * bool(base.commitments)
        return [name.encode() for name in sorted(names)]

    @key
    async def commitments(self, base: Message, request: Message, context: Context) -> Value:
        """The commitments by their ids, each as a message."""
        if not base.commitments:
            raise KeyNotFound("not_found")
        return Message.of({id: c.to_message() for id, c in base.commitments.items()})

    @key
    async def set(self, base: Message, request: Message, context: Context) -> Value:
        """The base with the request's keys set: deep, or shallow with `set-mode: explicit`."""
        values = await _resolved(values_to_set(request), context)
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

    @key
    async def id(self, base: Message, request: Message, context: Context) -> Value:
        """The base's id: of the commitments that `committers` and `commitment-ids` select."""
        found = streamed(base, context.cache)
        whole = found.message if found else await context.cache.load_binaries(base)
        return selected_id(whole, **_selectors(request)).encode()

    @key
    async def committers(self, base: Message, request: Message, context: Context) -> Value:
        """Who signed, one entry a signature."""
        return [signer.encode() for signer in base.signers]

    @key
    async def committed(self, base: Message, request: Message, context: Context) -> Value:
        """The keys that every selected commitment covers."""
        target = await _target(base, request, context)
        names = committed_keys(target, **_selectors(request))
        if request.bool("raw", False):
            nested = (Message, Link, list)
            names = [f"{n}+link" if isinstance(target.get(n), nested) else n for n in names]
        return [name.encode() for name in names]

    @key
    async def verify(self, base: Message, request: Message, context: Context) -> Value:
        """Whether every selected commitment holds; true where none is selected."""
        target = await load_verifiable(await _target(base, request, context), context.cache)
        return verify_message(target, **_selectors(request), secret=request.binary("secret", None))

    @key(volatile=True)
    async def commit(self, base: Message, request: Message, context: Context) -> Value:
        """The base with a commitment: the node's signature, or with `type: unsigned` an HMAC.

        `committed` lists the keys; `bundle` inlines nested messages; `secret` keys the HMAC. Only
        the operator may have the node sign.
        """
        target = await _target(base, request, context)
        bundle = request.bool("bundle", False)
        target = await _ready_to_commit(target, bundle, context)
        listed = request.list("committed", None)
        names = None if listed is None else [text for item in listed if (text := as_text(item))]
        kind = request.text("type", "signed")
        if kind in ("unsigned", "hmac-sha256"):
            secret = request.binary("secret", None)
            order = context.config.component_order
            return commit_unsigned(
                target, bundle=bundle, committed=names, secret=secret, order=order
            )
        if kind not in ("signed", *context.node.wallet.algorithms):
            raise BadRequest(f"type is {kind!r}; expected 'signed' or 'unsigned'.")
        _require_operator(request, context)
        return await commit_signed(
            target,
            context.node.wallet,
            limiter=context.node.crypto_limiter,
            committed=names,
            bundle=bundle,
            tag=base.hashpath,
            order=context.config.component_order,
        )

    @key
    async def index(self, base: Message, request: Message, context: Context) -> Value:
        """The page for people that option `default-index` names, made of the base."""
        page = to_value(dict(context.config.default_index))
        if not isinstance(page, Message) or "device" not in page:
            raise NotFound("No page is configured: option 'default-index' is not set.")
        shown = base.set_values(dict(page))
        return await context.resolve(shown, context.config.default_index_path)


async def _resolved(values: dict[str, Value], context: Context) -> dict[str, Value]:
    """The values to set, sequences among them resolved."""
    for name, value in values.items():
        if isinstance(value, Resolve):
            values[name] = await context.resolve_many(value.sequence)
    return values


def _selectors(request: Message) -> dict[str, Selector]:
    return {
        "committers": _selector(request, "committers"),
        "commitment_ids": _selector(request, "commitment-ids"),
    }


def _selector(request: Message, name: str) -> Selector:
    value = request.get(name)
    if isinstance(value, list | Message):
        return [text for item in request.list(name) if (text := as_text(item))]
    return request.text(name, None)


async def _target(base: Message, request: Message, context: Context) -> Message:
    """The message to work on: the base, or the member of the request that `target` names."""
    name = request.text("target", "self")
    if name == "self":
        return base
    value = await context.view(request, name if name in request else "body")
    if not isinstance(value, Message):
        raise BadRequest(f"target is {name!r}, and the request has no message there.")
    return value


async def _ready_to_commit(target: Message, bundle: bool, context: Context) -> Message:
    """Loaded as far as signing needs it; nested messages that stay links are stored first."""
    if bundle:
        loaded = await context.load_all(target)
        return loaded if isinstance(loaded, Message) else target
    nested = [value for value in target.values() if isinstance(value, Message | list)]
    if nested:
        await context.cache.write_many(nested)
    return await context.cache.load_binaries(target)


def _require_operator(request: Message, context: Context) -> None:
    if context.node.operator not in ("unclaimed", *request.caller.signers):
        raise Forbidden("Only the node's operator may have it sign a message.")
