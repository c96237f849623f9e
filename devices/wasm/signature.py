"""Function signatures of guests and the numbers that go in and out (spec/06 §1.2, §1.4)."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from hyperbeam_trio.errors import BadRequest

Number = int | float
Argument = Number | str | bytes

INTEGER_BITS = {"i": 32, "I": 64}
FLOATS = "fF"
SLOT_BYTES = 16
SLOT_FORMATS = {"i": "i12x", "I": "q8x", "f": "f12x", "F": "d8x"}
MAX_NUMBER_TEXT = 400
NUMBER_TEXT = re.compile(
    r"[+-]?(?=\.?[0-9])[0-9]*(?P<fraction>\.[0-9]*)?(?P<exponent>[eE][+-]?[0-9]+)?"
)


@dataclass(frozen=True, slots=True)
class Signature:
    """Parameter and result types of a guest function, one letter each.

    `i` i32, `I` i64, `f` f32, `F` f64 are numbers; `v` (v128) and `r` (a reference) can't cross
    to the host.
    """

    params: str = ""
    results: str = ""

    @property
    def text(self) -> str:
        """The `func-sig` form, `(iIII)i`."""
        return f"({self.params}){self.results}"

    @property
    def numeric(self) -> bool:
        """Whether every parameter and result is a number."""
        return not (set(self.params + self.results) - set(SLOT_FORMATS))

    @property
    def slots(self) -> int:
        """How many 16-byte slots a raw call of this signature needs."""
        return max(len(self.params), len(self.results))


@lru_cache(maxsize=256)
def slot_struct(codes: str) -> struct.Struct:
    """The layout of raw values of these types: one 16-byte slot each."""
    return struct.Struct("<" + "".join(SLOT_FORMATS[code] for code in codes))


def convert_arguments(
    name: str, signature: Signature, arguments: Sequence[Argument]
) -> list[Number]:
    """Numbers that fit `signature.params`, from numbers or numeric text.

    Integers wrap modulo 2^32 or 2^64 into the signed range, integers become floats and integral
    floats integers as the parameter asks. Raises `BadRequest` for a wrong count, for anything
    that is not a number, and for parameters that are vectors or references; `name` is the
    function for the text.
    """
    require_numeric(name, signature)
    if len(arguments) != len(signature.params):
        raise BadRequest(
            f"{name} takes {len(signature.params)} parameters, {len(arguments)} given."
        )
    return [
        convert_number(code, argument, f"{name}: Parameter {place}")
        for place, (code, argument) in enumerate(zip(signature.params, arguments, strict=True), 1)
    ]


def require_numeric(name: str, signature: Signature) -> None:
    """Raise `BadRequest` if `signature` has vector or reference types."""
    if not signature.numeric:
        raise BadRequest(
            f"{name} has the signature {signature.text}: vector and reference types are not"
            " supported, only i32, i64, f32 and f64."
        )


def convert_number(code: str, value: object, place: str) -> Number:
    """`value` as a number of type `code`; `place` begins the text of the `BadRequest` otherwise."""
    number = _parse(value) if isinstance(value, str | bytes) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise BadRequest(f"{place} is not a number.")
    if code in FLOATS:
        return _to_float(code, number)
    if isinstance(number, float) and not number.is_integer():
        raise BadRequest(f"{place} is not an integer.")
    return wrap_integer(int(number), INTEGER_BITS[code])


def wrap_integer(value: int, bits: int) -> int:
    """`value` modulo 2^bits, as a signed integer."""
    half = 1 << (bits - 1)
    return (value + half) % (1 << bits) - half


def _to_float(code: str, number: Number) -> float:
    try:
        value = float(number)
    except OverflowError:
        value = math.inf if number > 0 else -math.inf
    return _round_to_single(value) if code == "f" else value


def _round_to_single(value: float) -> float:
    try:
        single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return single


def _parse(text: str | bytes) -> Number | None:
    plain = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    if len(plain) > MAX_NUMBER_TEXT or not (match := NUMBER_TEXT.fullmatch(plain)):
        return None
    return float(plain) if match["fraction"] or match["exponent"] else int(plain)
