"""What the arguments of commands are like: ids, and pairs of a key and its value."""

from __future__ import annotations

from typing import Final

from hyperbeam_trio.crypto.encoding import is_id
from hyperbeam_trio.errors import BadRequest

_ID_LENGTH: Final = 43


def checked(argument: str) -> str:
    """An argument that is text; `BadRequest` for bytes that are no UTF-8."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise BadRequest(f"The argument {argument!r} is no UTF-8.") from None
    return argument


def shielded(argument: str) -> str:
    """An id that begins with a dash as a path, so that it is not taken for an option."""
    return f"/{argument}" if argument.startswith("-") and is_id(argument) else argument


def process_id(value: str) -> str:
    """The id of a process, given with or without the `/` of a path; `BadRequest` for others."""
    id = value.removeprefix("/")
    if not is_id(id) or len(id) != _ID_LENGTH:
        raise BadRequest(f"{value!r} is no id of a process; one has {_ID_LENGTH} characters.")
    return id


def pairs_of(arguments: tuple[str, ...]) -> dict[str, str]:
    """`KEY=VALUE` arguments; `BadRequest` names one without a key or a value."""
    pairs = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not key or not equals:
            raise BadRequest(f"{argument!r} has no value; expected KEY=VALUE.")
        pairs[key] = value
    return pairs
