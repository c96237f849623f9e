"""Arguments as guests get them (spec/06 §1.2)."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.devices.wasm.signature import (
    Signature,
    convert_arguments,
    require_numeric,
    slot_struct,
    wrap_integer,
)
from hyperbeam_trio.errors import BadRequest

numbers = st.integers() | st.floats()


def convert(code: str, value: object) -> object:
    (converted,) = convert_arguments("f", Signature(code), [value])  # type: ignore[list-item]
    return converted


def test_text_form_lists_parameters_then_results():
    assert Signature("iIII", "i").text == "(iIII)i"
    assert Signature().text == "()"


def test_slots_are_as_many_as_the_longer_side():
    assert Signature("iI", "f").slots == 2
    assert Signature("", "fF").slots == 2


def test_integer_becomes_float():
    assert convert("F", 5) == 5.0
    assert isinstance(convert("F", 5), float)


def test_integral_float_becomes_integer():
    assert convert("i", 5.0) == 5
    assert isinstance(convert("i", 5.0), int)


@pytest.mark.parametrize("value", [1.5, math.inf, -math.inf, math.nan])
def test_other_floats_are_no_integers(value):
    with pytest.raises(BadRequest, match="f: Parameter 1 is not an integer"):
        convert("I", value)


@pytest.mark.parametrize(
    ("code", "value", "expected"),
    [
        ("i", 2**31, -(2**31)),
        ("i", 2**32 + 7, 7),
        ("i", -1, -1),
        ("I", 2**63, -(2**63)),
        ("I", 2**64 - 1, -1),
        ("i", 1e10, 1410065408),
    ],
)
def test_integers_wrap(code, value, expected):
    assert convert(code, value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", 7), (b"7", 7), ("-3", -3), ("+3", 3), ("2.0", 2), ("1e3", 1000), (".5e1", 5)],
)
def test_numeric_text_is_a_number(text, expected):
    assert convert("i", text) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("", "x", "1_0", "0x10", "nan", "inf", " 1", "1 2", ".", "e5", b"\xff", "٣", "9" * 1000),
        *(None, True, False, [1], {"a": 1}),
    ],
)
def test_anything_else_is_not_a_number(value):
    with pytest.raises(BadRequest, match="f: Parameter 1 is not a number"):
        convert("F", value)


def test_wrong_count_names_the_function():
    with pytest.raises(BadRequest, match=r"handle takes 2 parameters, 1 given\."):
        convert_arguments("handle", Signature("II", "I"), [1])


def test_the_second_parameter_is_counted_as_two():
    with pytest.raises(BadRequest, match="pow: Parameter 2 is not a number"):
        convert_arguments("pow", Signature("ii", "i"), [1, "x"])


@pytest.mark.parametrize("signature", [Signature("v"), Signature("", "r"), Signature("ir")])
def test_vectors_and_references_are_refused(signature):
    with pytest.raises(BadRequest, match="vector and reference types are not supported"):
        require_numeric("f", signature)


@given(value=numbers, code=st.sampled_from("iIfF"))
def test_what_is_converted_fits_its_slot(value, code):
    try:
        converted = convert(code, value)
    except BadRequest:
        assert isinstance(value, float)
        assert not value.is_integer()
        return
    layout = slot_struct(code)
    (read,) = layout.unpack(layout.pack(converted))
    assert read == converted or (math.isnan(read) and math.isnan(converted))


@given(value=st.floats(width=64, allow_nan=False))
def test_single_precision_rounds_and_overflows_to_infinity(value):
    converted = convert("f", value)
    try:
        (expected,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        expected = math.copysign(math.inf, value)
    assert converted == expected


@given(value=st.integers(), bits=st.sampled_from([32, 64]))
def test_wrapped_integer_is_congruent_and_in_range(value, bits):
    wrapped = wrap_integer(value, bits)
    assert (wrapped - value) % 2**bits == 0
    assert -(2 ** (bits - 1)) <= wrapped < 2 ** (bits - 1)


@given(value=st.integers(-(10**300), 10**300))
def test_text_of_an_integer_means_the_integer(value):
    assert convert("I", str(value)) == convert("I", value)


def test_an_integer_beyond_every_float_becomes_infinity():
    assert convert("F", 10**400) == math.inf
    assert convert("F", -(10**400)) == -math.inf
