"""Test vectors of other implementations, and their notation for typed values.

JSON text is a binary, a number an integer, `true`/`false`/`null` are the atoms; the rest is written
`{"$bytes_b64u": …}`, `{"$float": …}`, `{"$atom": …}`, `{"$link": id}`, `{"$as": device, "msg": …}`
and `{"$resolve": […]}`. `{"$error": …}` stands where the peer raised.

Use `@vectors.each("n-ids.json", lambda case: case["kind"] == "unsigned")` on a test that takes a
`case`; the end of the test report counts the cases of each file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.message import As, Atom, Link, Message, Resolve, Value

FOLDER = Path(__file__).parent / "data" / "vectors"

Case = dict[str, Any]


@cache
def load(name: str) -> dict[str, Any]:
    """The whole file `name`, parsed; don't change what it returns."""
    parsed: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return parsed


def cases(
    name: str, where: Callable[[Case], Any] = lambda case: True, *, member: str = "cases"
) -> list[Case]:
    """The cases of a file for which `where` holds, in the order of the file."""
    return [case for case in load(name)[member] if where(case)]


def each(
    name: str,
    where: Callable[[Case], Any] = lambda case: True,
    *,
    member: str = "cases",
    argument: str = "case",
) -> pytest.MarkDecorator:
    """Parametrise a test by the cases of a file; they are counted in the report."""
    chosen = cases(name, where, member=member)
    if not chosen:
        raise ValueError(f"{name} has no such cases.")
    marks = [pytest.mark.vectors(name)]
    return pytest.mark.parametrize(
        argument,
        [
            pytest.param(case, id=_label(place, case), marks=marks)
            for place, case in _numbered(chosen)
        ],
    )


def _numbered(chosen: list[Case]) -> Iterator[tuple[int, Case]]:
    return enumerate(chosen, 1)


def _label(place: int, case: Case) -> str:
    name = case.get("name") or case.get("input") or case.get("path") or ""
    return f"{place}-{name}"[:60].encode("ascii", "replace").decode().replace("\0", "?")


def unbase64(text: str) -> bytes:
    """The bytes of unpadded base64url text, as `…_b64u` members hold them."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def is_error(notation: Any) -> bool:
    """Whether the peer raised where this stands."""
    return isinstance(notation, dict) and "$error" in notation


def value(notation: Any) -> Value:
    """A value from its notation; a message comes with its commitments and its hashpath."""
    if isinstance(notation, str):
        return notation.encode()
    if isinstance(notation, list):
        return [value(item) for item in notation]
    if isinstance(notation, dict):
        return _special(notation) if any(key[:1] == "$" for key in notation) else message(notation)
    if isinstance(notation, bool | int | None):
        return notation
    raise ValueError(f"not a notation: {notation!r}")


def _special(notation: dict[str, Any]) -> Value:
    if "$atom" in notation:
        names: dict[str, Value] = {"true": True, "false": False, "null": None}
        return names.get(notation["$atom"], Atom(notation["$atom"]))
    if "$bytes_b64u" in notation:
        return unbase64(notation["$bytes_b64u"])
    if "$float" in notation:
        return float(notation["$float"])
    if "$link" in notation:
        return Link(notation["$link"])
    if "$as" in notation:
        return As(value(notation["$as"]), message(notation["msg"]))
    if "$resolve" in notation:
        return Resolve(tuple(value(item) for item in notation["$resolve"]))
    raise ValueError(f"not a notation: {notation!r}")


def message(notation: dict[str, Any]) -> Message:
    """A message from its notation."""
    found = Message.of(
        {k: value(v) for k, v in notation.items() if k not in ("commitments", "priv")}
    )
    given = notation.get("commitments")
    if given:
        found = found.with_commitments(
            Commitment.from_message(id, message(fields)) for id, fields in given.items()
        )
    private = notation.get("priv")
    hashpath = private.get("hashpath") if isinstance(private, dict) else None
    return found.with_hashpath(hashpath) if hashpath else found


def notation(given: Value, *, commitments: bool = False) -> Any:
    """A value in the notation, for comparisons whose difference can be read."""
    if isinstance(given, bytes):
        return _bytes_notation(given)
    if isinstance(given, Atom):
        return {"$atom": str(given)}
    if isinstance(given, float):
        return {"$float": repr(given)}
    if isinstance(given, list):
        return [notation(item, commitments=commitments) for item in given]
    if isinstance(given, Message):
        return _message_notation(given, commitments)
    if isinstance(given, Link):
        return {"$link": given.id}
    if isinstance(given, As):
        return {"$as": notation(given.device), "msg": notation(given.message)}
    if isinstance(given, Resolve):
        return {"$resolve": [notation(item) for item in given.sequence]}
    return given


def _bytes_notation(given: bytes) -> Any:
    try:
        return given.decode()
    except UnicodeDecodeError:
        return {"$bytes_b64u": base64.urlsafe_b64encode(given).rstrip(b"=").decode()}


def _message_notation(given: Message, commitments: bool) -> dict[str, Any]:
    written = {k: notation(v, commitments=commitments) for k, v in given.items()}
    if commitments and given.commitments:
        written["commitments"] = {
            id: notation(commitment.to_message()) for id, commitment in given.commitments.items()
        }
    return written


def normal(written: Any, *, commitments: bool = False) -> Any:
    """A notation read and written again, so that two of one value are equal."""
    return notation(value(written), commitments=commitments)


def tabm(notation: Any) -> Any:
    """A TABM from its notation: texts become bytes, whatever key they stand under."""
    if isinstance(notation, dict) and not any(key[:1] == "$" for key in notation):
        return {key: tabm(member) for key, member in notation.items()}
    return value(notation)
