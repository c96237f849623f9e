"""Elements → path text: what `grammar` reads, written (spec/03 §14.1).

Everything written is read back before it is given out, so that no text says something else than
the element that it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from hyperbeam_trio.errors import PathError
from hyperbeam_trio.message import As, Atom, Link, Message, Resolve, Value, describe, same
from hyperbeam_trio.path.grammar import read_path
from hyperbeam_trio.path.scan import unquote

_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9_.~/?&=+()@:!$*,;'-]")
_RESERVED: Final = re.compile(rb"[^A-Za-z0-9_.~-]")
_DELIMITER: Final = re.compile(rb'[&/?()"]')
_SYMBOLS: Final[Mapping[bool | None, bytes]] = {True: b"true", False: b"false", None: b"null"}


def escape(text: bytes) -> bytes:
    """Path text as it may stand in a request line: other bytes become `%XX`."""
    return _UNSAFE.sub(_percent, text)


def _percent(byte: re.Match[bytes]) -> bytes:
    return b"%%%02X" % byte[0][0]


def segment(element: Value, inline: Mapping[str, Value]) -> bytes:
    """The segment of one element with these of its keys in it, unescaped.

    Raises `PathError` for what no segment can say.
    """
    text = _head(element) + b"".join(b"&" + _inline(key, inline[key]) for key in inline)
    if not _reads_as(text, _reduced(element, inline)):
        raise _unsayable(element)
    return text


def subpath(sequence: Sequence[Value]) -> bytes:
    """The text of a whole sequence, every key in the text, unescaped and without parentheses."""
    query = b""
    if bare_base(sequence):
        query = b"&".join(_query_key(key, value) for key, value in own_keys(sequence[0]).items())
        sequence = sequence[1:]
    path = b"/".join(segment(element, own_keys(element)) for element in sequence)
    return path + b"?" + query if query else path


def bare_base(sequence: Sequence[Value]) -> bool:
    """Whether a sequence begins with a base that has no segment of its own.

    Such a base must stand before a request, since only there it is read back.
    """
    if not sequence or not isinstance(sequence[0], Message) or "path" in sequence[0]:
        return False
    if len(sequence) == 1 or not isinstance(sequence[1], Message):
        raise PathError("No path says a base without an id, a device or a request behind it.")
    return True


def own_keys(element: Value) -> dict[str, Value]:
    """The keys of an element beside its `path`."""
    message = element.message if isinstance(element, As) else element
    if not isinstance(message, Message):
        return {}
    return {key: value for key, value in message.items() if key != "path"}


def _reduced(element: Value, inline: Mapping[str, Value]) -> Value:
    """The element with no other keys than these."""
    if isinstance(element, As):
        path = {"path": element.message["path"]} if "path" in element.message else {}
        return As(element.device, Message.of({**inline, **path}))
    if isinstance(element, Message):
        return Message.of({**inline, "path": element.get("path")})
    return element


def _reads_as(text: bytes, element: Value) -> bool:
    # Something follows, since an open quote or parenthesis swallows what comes behind it.
    try:
        elements = read_path(escape(text + b"/behind")).elements
    except PathError:
        return False
    # A request is read behind an empty base.
    expected = 3 if isinstance(element, Message) else 2
    return len(elements) == expected and same(elements[-2], _based(element))


def _based(value: Value) -> Value:
    """The value with the empty base that reading puts before the requests of a sub-path."""
    if isinstance(value, Resolve):
        sequence = tuple(_based(item) for item in value.sequence)
        first = sequence[0] if sequence else None
        missing = isinstance(first, Message) and "path" in first
        return Resolve((Message(), *sequence) if missing else sequence)
    if isinstance(value, As):
        return As(_based(value.device), Message.of(_based_keys(value.message)))
    return Message.of(_based_keys(value)) if isinstance(value, Message) else value


def _based_keys(message: Message) -> dict[str, Value]:
    return {k: _based(v) if isinstance(v, Resolve) else v for k, v in message.items()}


def _head(element: Value) -> bytes:
    if isinstance(element, Link) and element.kind == "message":
        return element.id.encode()
    if isinstance(element, Resolve):
        return b"(" + subpath(element.sequence) + b")"
    if isinstance(element, As):
        return _head_name(element.message.get("path", b"")) + b"~" + _head_name(element.device)
    return _head_name(element.get("path")) if isinstance(element, Message) else _head_name(element)


def _head_name(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, Resolve) or (isinstance(value, Link) and value.kind == "message"):
        return _head(value)
    raise _unsayable(value)


def _inline(key: str, value: Value) -> bytes:
    if isinstance(value, Resolve):
        return key.encode() + b"=(" + subpath(value.sequence) + b")"
    type_name, text = typed_text(key, value)
    if text is None:
        return key.encode()
    plain = key.encode() + type_name + b"=" + text
    if type_name or not _DELIMITER.search(text):
        return plain
    alone = Message.of({"path": b"x", key: value})
    return plain if _reads_as(b"x&" + plain, alone) else key.encode() + b'="' + text + b'"'


def _query_key(key: str, value: Value) -> bytes:
    """`0.key=value`, form-encoded: a key of the base in the query of a sub-path."""
    if not (scopable(key) and typable(key)):
        raise PathError(f"A path can't give its base the key {key!r}.")
    name = _RESERVED.sub(_percent, key.encode())
    type_name, text = typed_text(key, value)
    if text is None:
        return b"0." + name
    if not type_name and unquote(text) != text:
        raise PathError(f"A path can't give its base {describe(value)}.")
    return b"0." + name + _RESERVED.sub(_percent, type_name) + b"=" + _RESERVED.sub(_percent, text)


def scopable(key: str) -> bool:
    """Whether a key can be scoped to one element (`2.slot`) and is read back as it is."""
    return bool(key) and "." not in key and "+" not in key


def typable(key: str) -> bool:
    """Whether a type can be put behind a key and is read back as one."""
    return not any(mark in key for mark in '+ "(')


def typed_text(key: str, value: Value) -> tuple[bytes, bytes | None]:
    """The type suffix and the text of a value; no text for `true`, which a bare key says."""
    if value is True:
        return b"", None
    if isinstance(value, bytes):
        return b"", value
    if isinstance(value, bool | None):
        return b"+atom", _SYMBOLS[value]
    if isinstance(value, int):
        return b"+integer", str(value).encode()
    if isinstance(value, float):
        return b"+float", f"{value:.17e}".encode()
    if isinstance(value, Atom):
        return b"+atom", value.encode()
    if isinstance(value, Resolve):
        return b"+resolve", subpath(value.sequence)
    raise PathError(f"A path can't say key {key!r}: {describe(value)}.")


def _unsayable(element: Value) -> PathError:
    if isinstance(element, Message) and "path" in element:
        return PathError(f"No path says a request for {describe(element['path'])}.")
    shown = {As: "this cast", Resolve: "this sub-path"}.get(type(element)) or describe(element)
    return PathError(f"No path says {shown}.")
