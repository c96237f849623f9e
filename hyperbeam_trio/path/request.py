"""A request message → the sequence that it asks for (spec/03 §14.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hyperbeam_trio.errors import PathError
from hyperbeam_trio.message import Message, Value, as_text, describe
from hyperbeam_trio.path.grammar import Plan, read_nested, read_path
from hyperbeam_trio.path.scan import unescape_quotes
from hyperbeam_trio.path.spread import Keys, NegativeScope, spread, spread_signed
from hyperbeam_trio.path.types import Mistyped, cast, split_type

REMEMBERED_PATHS: Final = 2048
"""How many different path texts keep their plan."""

_LONGEST_REMEMBERED: Final = 1024


def parse(text: str | bytes) -> list[Value]:
    """The sequence that HyperPATH text asks for, base first; `[]` for `/`.

    Elements: an id is a `Link`; `~device` an `As`, whose message's `path` is a `Link` where the
    name is an id; `(…)` a `Resolve`; any other segment a `Message` with its name as `path`. Raises
    `PathError` (400) that shows the part and its offset in `text`.
    """
    return list(
        _plan(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text).whole
    )


def parse_request(message: Message) -> list[Value]:
    """The sequence that a request asks for by its `path`, with its other keys spread over it.

    Keys may be typed (`slot+integer`) and scoped (`2.slot`: only for element 2). Without a `path`
    the sequence is empty. Nested messages and lists stay what they are. Private data, and those
    commitments that still hold, go with every element; the private entry `singleton` of the
    elements is the signed request itself. Raises `PathError` (400).
    """
    if "path" not in message:
        return []
    plan = _plan(_path_text(message["path"]))
    if not plan.elements or (len(message) == 1 and not message.commitments and not message.private):
        return list(plan.whole)
    keys = _request_keys(message).under(plan.query)
    if message.commitments or message.private:
        return spread_signed(plan.elements, keys, message)
    return spread(plan.elements, keys)


def _plan(raw: bytes) -> Plan:
    return read_path(raw) if len(raw) > _LONGEST_REMEMBERED else _remembered(raw)


_remembered = lru_cache(maxsize=REMEMBERED_PATHS)(read_path)


def _path_text(path: Value) -> bytes:
    if isinstance(path, bytes):
        return path
    if isinstance(path, list):
        parts = [as_text(part) for part in path]
        if None not in parts:
            return "/".join(part for part in parts if part is not None).encode()
    text = as_text(path)
    if text is None:
        raise PathError(f"Key 'path' should be a HyperPATH, not {describe(path)}.")
    return text.encode()


def _request_keys(message: Message) -> Keys:
    keys = Keys()
    for key, value in message.items():
        if key == "path":
            continue
        if "+" in key:
            key, value = _typed(key, value)
        if "." not in key:
            keys.common[key] = value
        else:
            _add(keys, key, value)
    return keys


def _add(keys: Keys, key: str, value: Value) -> None:
    try:
        keys.add(key, value)
    except NegativeScope:
        raise PathError(f"Key {key!r}: elements count from 0.", details={"key": key}) from None


def _typed(key: str, value: Value) -> tuple[str, Value]:
    name, type_name = split_type(key.encode("utf-8", "surrogatepass"))
    if type_name is None:
        return key, value
    if not isinstance(value, bytes):
        raise PathError(
            f"Key {key!r} is typed and should be text, not {describe(value)}.",
            details={"key": key},
        )
    try:
        name_text = name.decode("utf-8", "surrogatepass")
        return name_text, cast(name_text, type_name, unescape_quotes(value), read_nested)
    except Mistyped as wrong:
        raise PathError(f"Key {key!r}: {wrong}.", details={"key": key}) from None
