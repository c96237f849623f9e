"""The headers `signature` and `signature-input`: writing and reading them (spec/02 §3.5, §10)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

from hyperbeam_trio.crypto.encoding import from_base64, to_base64
from hyperbeam_trio.crypto.signature_base import (
    Parameters,
    component_list,
    parameters_text,
    plain_name,
)
from hyperbeam_trio.errors import BadRequest

MAX_SIGNATURES: Final = 64
LONGEST_KEPT: Final = 2048
"""Characters of an input that is remembered as it was read."""

_FIRST: Final = ("alg", "keyid", "tag", "created", "expires", "nonce", "id")
_KEY: Final = r"[a-z*][a-z0-9_.*-]*"
_STRING: Final = r'"[ !#-\[\]-~]*"'
# The one shape that nearly all senders write; whatever else is legal goes to http_sf.
_SIGNATURE: Final = re.compile(rf"({_KEY})=:([A-Za-z0-9+/_-]*=*):")
_LABEL: Final = re.compile(_KEY)
_INPUT: Final = re.compile(
    rf"\(((?:{_STRING}(?: {_STRING})*)?)\)((?:;{_KEY}=(?:{_STRING}|-?[0-9]{{1,15}}))*)"
)
_PARAMETER: Final = re.compile(rf'({_KEY})=(?:"([^"]*)"|(-?[0-9]+))')
_MEMBER: Final = re.compile(r'(?:[^",]++|"(?:[^"\\]++|\\.)*+")++')
_STRANGE: Final = re.compile(r"[^ -~]")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SignatureInput:
    """One member of `signature-input`.

    `components` are the listed names as they came, perhaps with `@`, without parameters of their
    own; `parameters` are those of the list; `text` is the member's value as it came.
    """

    components: tuple[str, ...]
    parameters: Parameters
    text: str

    @property
    def plain_components(self) -> tuple[str, ...]:
        """The names without `@`: as headers are called, and as base lines begin."""
        return tuple(map(plain_name, self.components))


def signature_header(signatures: Mapping[str, bytes]) -> str:
    """The value of `signature` for raw signatures by label, sorted by label."""
    return ", ".join(f"{label}=:{to_base64(signatures[label])}:" for label in sorted(signatures))


def input_header(inputs: Mapping[str, str]) -> str:
    """The value of `signature-input` for members (see `input_member`) by label, sorted."""
    return ", ".join(f"{label}={inputs[label]}" for label in sorted(inputs))


def input_member(components: Iterable[str], parameters: Parameters) -> str:
    """A member of `signature-input`: plain component names, then all `parameters`.

    `alg` and `keyid` come first, then the others of RFC 9421, then the rest as given. Raises
    `BadRequest` for what a structured field can't hold.
    """
    rest = [name for name in parameters if name not in _FIRST]
    text = component_list(components) + parameters_text(parameters, (*_FIRST, *rest))
    strange = _STRANGE.search(text)
    if strange:
        raise BadRequest(f"signature-input can't carry the character {strange.group()!r}")
    return text


def read_signatures(
    signature: str, signature_input: str
) -> dict[str, tuple[bytes, SignatureInput]]:
    """Raw signature and input of each label of the two headers.

    Raises `BadRequest` if either can't be read, if their labels differ or repeat, or if there are
    more than `MAX_SIGNATURES`.
    """
    signatures = parse_signature(signature)
    inputs = parse_input(signature_input)
    if signatures.keys() != inputs.keys():
        odd = ", ".join(sorted(signatures.keys() ^ inputs.keys()))
        raise BadRequest(f"signature and signature-input have different labels: {odd[:200]}")
    return {label: (raw, inputs[label]) for label, raw in signatures.items()}


def parse_signature(text: str) -> dict[str, bytes]:
    """Raw signatures by label; both base64 alphabets are accepted."""
    found: dict[str, bytes] = {}
    for member in _members(text, "signature"):
        match = _SIGNATURE.fullmatch(member)
        if match:
            label, raw = match[1], from_base64(match[2], f"signature {match[1]}")
        else:
            label, raw = _slow_signature(member)
        _add(found, label, raw, "signature")
    return found


def parse_input(text: str) -> dict[str, SignatureInput]:
    """Component lists and parameters by label."""
    found: dict[str, SignatureInput] = {}
    for member in _members(text, "signature-input"):
        label, parsed = _fast_input(member) or _slow_input(member)
        _add(found, label, parsed, "signature-input")
    return found


def _add(found: dict[str, _T], label: str, value: _T, header: str) -> None:
    if label in found:
        raise BadRequest(f"{header} has the label {label} twice")
    if len(found) == MAX_SIGNATURES:
        raise BadRequest(f"{header} has more than {MAX_SIGNATURES} members")
    found[label] = value


def _members(text: str, header: str) -> Iterable[str]:
    """The members of a dictionary, cut at the commas outside of strings."""
    parts = text.split(",")
    if "\\" not in text and all(part and part.count('"') % 2 == 0 for part in parts):
        # Each part has whole strings only, so that no comma stands in one.
        return [part.strip(" \t") for part in parts]
    return _searched_members(text, header)


def _searched_members(text: str, header: str) -> Iterator[str]:
    place = 0
    while place <= len(text):
        match = _MEMBER.match(text, place)
        end = match.end() if match else place
        if match is None or (end < len(text) and text[end] != ","):
            raise BadRequest(f"{header} is not a dictionary at character {end}")
        yield text[place:end].strip(" \t")
        place = end + 1


def _fast_input(member: str) -> tuple[str, SignatureInput] | None:
    label, _, text = member.partition("=")
    read = _kept_input(text) if len(text) <= LONGEST_KEPT else _read_input(text)
    return None if read is None or _LABEL.fullmatch(label) is None else (label, read)


def _read_input(text: str) -> SignatureInput | None:
    match = _INPUT.fullmatch(text)
    if match is None:
        return None
    names, tail = match.groups()
    parameters: dict[str, str | int] = {
        name: int(number) if number else string for name, string, number in _PARAMETER.findall(tail)
    }
    components = tuple(names[1:-1].split('" "')) if names else ()
    return SignatureInput(components, parameters, text)


_kept_input = lru_cache(maxsize=256)(_read_input)
"""Who signs many messages of one sort says the same of each, but for the label."""


def _slow_input(member: str) -> tuple[str, SignatureInput]:
    label, value, raw = _parse_member(member, "signature-input")
    if not isinstance(value, list):
        raise BadRequest(f"signature-input {label} is not a list of component names")
    components = tuple(_text(label, "component", name) for name, _ in value)
    parameters = {name: _parameter(label, name, given) for name, given in raw.items()}
    return label, SignatureInput(components, parameters, member.partition("=")[2])


def _slow_signature(member: str) -> tuple[str, bytes]:
    label, value, _ = _parse_member(member, "signature")
    if not isinstance(value, bytes):
        raise BadRequest(f"signature {label} is not a byte sequence in colons")
    return label, value


def _parameter(label: str, name: str, value: Any) -> str | int:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, int) else _text(label, f"parameter {name}", value)


def _text(label: str, what: str, value: Any) -> str:
    from http_sf import Token

    if isinstance(value, str | Token):
        return str(value)
    raise BadRequest(f"signature-input {label}: {what} is {value!r}, expected text")


def _parse_member(member: str, header: str) -> tuple[str, Any, Mapping[str, Any]]:
    """Label, value and parameters of a one-member dictionary."""
    from http_sf import StructuredFieldError, parse

    try:
        parsed: Any = parse(member.encode(), tltype="dictionary")
    except StructuredFieldError as problem:
        raise BadRequest(f"{header} can't be read: {problem}") from None
    if len(parsed) != 1:
        raise BadRequest(f"{header} has an empty member")
    ((label, (value, parameters)),) = parsed.items()
    return label, value, parameters
