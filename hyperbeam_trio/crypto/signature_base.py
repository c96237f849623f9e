"""Signature bases and ids of httpsig commitments, over plain values (spec/02 §2, §5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final, TypeAlias

from hyperbeam_trio.crypto.elsewhere import Elsewhere
from hyperbeam_trio.crypto.encoding import hash_id, to_base64

Parameters: TypeAlias = Mapping[str, str | int]

DERIVED: Final = frozenset(
    {
        "method",
        "target-uri",
        "authority",
        "scheme",
        "request-target",
        "path",
        "query",
        "query-param",
    }
)
"""Components that the list inside `@signature-params` writes with an `@`."""

SIGNED_PARAMETERS: Final = ("alg", "bundle", "created", "expires", "keyid", "nonce", "tag")
"""Parameters that are part of the base, sorted as they stand there."""

LABEL_PREFIX: Final = "comm-"

_NAME: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_LIST: Final = re.compile(rb'\((?:"(?:[^"\\]|\\.)*" ?)*\)')

_COMMON_LENGTH: Final = 64
_LIST_LENGTH: Final = 2048
_LIST_COUNT: Final = 256
_LISTS: Final[dict[tuple[str, ...], str]] = {}


def quoted(text: str) -> str:
    """`text` as a structured-field string, in double quotes."""
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def parameters_text(parameters: Parameters, order: Iterable[str]) -> str:
    """`;name=value` for those of `parameters` that `order` names: texts quoted, integers bare."""
    parts = []
    for name in order:
        value = parameters.get(name)
        if value is not None:
            shown = quoted(value) if isinstance(value, str) else f"{value:d}"
            parts.append(f";{name}={shown}")
    return "".join(parts)


def derived_name(name: str) -> str:
    """A component's name as the list inside the base has it: with `@` where it is derived."""
    return f"@{name}" if name in DERIVED else name


def plain_name(name: str) -> str:
    """A component's name without its `@`, as base lines and the wire of our form have it."""
    return name[1:] if name.startswith("@") and name[1:] in DERIVED else name


def component_list(names: Iterable[str]) -> str:
    """The inner list of component names, as they are given."""
    return "(" + " ".join(map(quoted, names)) + ")"


def signature_params(names: Iterable[str], parameters: Parameters) -> str:
    """The value of the `@signature-params` line, for the plain names of the components.

    Of `parameters` only those of RFC 9421 are taken; `alg` is the bare type.
    """
    return listed_names(tuple(names)) + parameters_text(parameters, SIGNED_PARAMETERS)


def listed_names(names: tuple[str, ...]) -> str:
    """The inner list inside the base, for the plain names of the components.

    Most messages have the same few sets of keys, so some short lists are kept.
    """
    text = _LISTS.get(names)
    if text is None:
        text = component_list(map(derived_name, names))
        if len(text) <= _LIST_LENGTH:
            if len(_LISTS) >= _LIST_COUNT:
                _LISTS.clear()
            _LISTS[names] = text
    return text


def signature_base(
    components: Sequence[tuple[str, bytes]], parameters: Parameters
) -> tuple[bytes, str]:
    """The bytes to be signed, and the text of their `@signature-params` line.

    `components` are (plain name, raw value) in the order of the list; none at all gives a base
    that begins with an empty line.
    """
    params = signature_params([name for name, _ in components], parameters)
    return base_of(components, params), params


def base_of(components: Sequence[tuple[str, bytes]], params: str) -> bytes:
    """The bytes to be signed where the `@signature-params` text is known, e.g. from the wire."""
    lines = [_line_start(name) + value for name, value in components]
    lines.append(b'"@signature-params": ' + params.encode())
    return b"\n".join(lines) if components else b"\n" + lines[0]


def is_ambiguous(base: bytes) -> bool:
    """Whether a base may say two things: a value in it has a line that begins like a component's.

    Values of nested parts may have several lines, and nothing in a base tells where one ends. So
    `a` as `x\\n"b": y` beside `b` as `z` gives the same bytes as `a` as `x` beside `b` as
    `y\\n"b": z`: who has signed the one would have signed the other.
    """
    lines, _, params = base.rpartition(b'\n"@signature-params": ')
    listed = _LIST.match(params)
    names = [] if listed is None else _NAME.findall(listed[0])
    if lines.count(b"\n") < len(names):
        return False
    starts = {b'\n"%b": ' % given for name in names for given in (name, name.removeprefix(b"@"))}
    return sum(map((b"\n" + lines).count, starts)) > len(names)


def _line_start(name: str) -> bytes:
    return _kept_start(name) if len(name) <= _COMMON_LENGTH else quoted(name).encode() + b": "


@lru_cache(maxsize=4096)
def _kept_start(name: str) -> bytes:
    return quoted(name).encode() + b": "


def content_digest(body: bytes | memoryview) -> str:
    """The value of `content-digest` for a whole body, also an empty one (spec/02 §3.1, §9.3)."""
    digest = body.digest if isinstance(body, Elsewhere) else sha256(body).digest()
    return f"sha-256=:{to_base64(digest)}:"


def commitment_label(signature: bytes) -> str:
    """The label of a signature in both headers.

    Its characters are those that every client's parser takes (spec decision 1).
    """
    return LABEL_PREFIX + hash_id(signature).lower().replace("_", "-")
