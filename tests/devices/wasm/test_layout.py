"""What is read from a module and added to it before it is compiled."""

from __future__ import annotations

import pytest

from hyperbeam_trio.devices.wasm import binary
from hyperbeam_trio.devices.wasm.binary import MalformedImage, Reader
from hyperbeam_trio.devices.wasm.exposure import expose
from hyperbeam_trio.devices.wasm.layout import Export, Global, Import, Memory, Table, read_layout
from hyperbeam_trio.devices.wasm.signature import Signature

from .conftest import assemble

MODULE = assemble(
    """
(module
  (import "env" "f" (func (param i32) (result f64)))
  (memory (export "heap") i64 2 5)
  (table i64 3 funcref)
  (table 1 externref)
  (tag (param i32))
  (global i32 (i32.const 1))
  (global (export "counter") (mut i64) (i64.const 1))
  (global (mut v128) (v128.const i64x2 0 11))
  (func (export "g") (param f32) (result v128) (v128.const i64x2 1 2))
  (func $begin)
  (start $begin)
  (data (i64.const 70000) "abc")
  (data "passive")
  (data (i64.const -1) ""))
"""
)


@pytest.fixture(scope="module")
def layout():
    return read_layout(binary.read_sections(MODULE))


def test_declarations_are_read(layout):
    assert layout.imports == [Import("env", "f", "function", Signature("i", "F"))]
    assert layout.memories == [Memory(is_64=True, minimum=2, maximum=5)]
    assert layout.tables == [Table(True, "func"), Table(False, "extern")]
    assert layout.globals == [Global("i", False), Global("I", True), Global("v", True)]
    assert layout.start == 2
    assert layout.exports == [
        Export("heap", "memory", 0),
        Export("counter", "global", 1),
        Export("g", "function", 1),
    ]


def test_data_segments_are_read_with_their_offsets(layout):
    assert layout.data == [(70000, 3), (-1, 0)]


def test_computed_offsets_are_unknown():
    wat = '(module (memory 1) (data (i32.add (i32.const 1) (i32.const 2)) "x"))'
    assert read_layout(binary.read_sections(assemble(wat))).data == [(None, 1)]


def test_signatures_of_exports_count_the_imports(layout):
    assert layout.exported_functions() == {"g": Signature("f", "v")}


def test_hidden_state_is_exported_and_the_start_function_too(layout):
    sections, exposure = expose(binary.read_sections(MODULE), layout)
    exposed = read_layout(sections)
    names = {export.name: (export.kind, export.index) for export in exposed.exports}
    assert exposed.start is None
    assert exposure.memory == "heap"
    assert names[exposure.start] == ("function", 2)
    assert [names[name] for name in exposure.globals] == [("global", 1), ("global", 2)]
    assert [names[name] for name in exposure.tables] == [("table", 0), ("table", 1)]


def test_module_without_hidden_state_stays_as_it_is():
    image = assemble('(module (memory (export "m") 1) (func (export "f")))')
    sections = binary.read_sections(image)
    exposed, _ = expose(sections, read_layout(sections))
    assert binary.write_sections(exposed) == image


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**32 - 1, 2**63])
def test_unsigned_numbers_round_trip(value):
    assert Reader(binary.unsigned(value)).unsigned() == value


@pytest.mark.parametrize("value", [0, 63, 64, -1, -64, -65, 2**31 - 1, -(2**63)])
def test_signed_numbers_round_trip(value):
    assert Reader(binary.signed(value)).signed() == value


@pytest.mark.parametrize("encoded", [b"", b"\x80", b"\xff" * 11])
def test_endless_numbers_are_refused(encoded):
    with pytest.raises(MalformedImage):
        Reader(encoded).unsigned()
    with pytest.raises(MalformedImage):
        Reader(encoded).signed()


def test_names_must_be_text():
    with pytest.raises(MalformedImage, match="UTF-8"):
        Reader(b"\x01\xff").name()
