"""Compiling: what is refused, what is kept (spec/06 §1.1, §7.1, §7.6)."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.devices.wasm import engine as engine_module
from hyperbeam_trio.devices.wasm.artefacts import Artefacts
from hyperbeam_trio.devices.wasm.engine import Engine
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.signature import Signature
from hyperbeam_trio.errors import BadRequest, ConfigError, TooLarge

from .conftest import assemble

ANSWER = assemble('(module (func (export "f") (result i32) i32.const 42))')


def test_image_knows_its_hash_and_its_functions(engine):
    image = engine.compile(ANSWER)
    assert image.digest == hashlib.sha256(ANSWER).digest()
    assert image.functions == {"f": Signature("", "i")}


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "unexpected end"),
        (b"(module)", "magic header"),
        (b"\x00asm\x0d\x00\x01\x00", "component"),
        (ANSWER[:-3], "unexpected end"),
        (ANSWER.replace(b"\x41\x2a", b"\x42\x2a"), "type mismatch: expected i32, found i64"),
        (b"\x00asm\x01\x00\x00\x00\x63\x00", "malformed section id"),
    ],
)
def test_damaged_image_is_a_bad_request_with_the_engines_reason(engine, image, reason):
    with pytest.raises(BadRequest, match=f"^Invalid WebAssembly image: .*{reason}") as caught:
        engine.compile(image)
    assert caught.value.status == 400


@given(st.binary(max_size=60), st.integers(0, len(ANSWER)), st.integers(0, 12))
def test_no_bytes_do_worse_than_a_bad_request(junk, at, skip):
    image = ANSWER[:at] + junk + ANSWER[at + skip :]
    try:
        Instance(FUZZED.compile(image))
    except BadRequest:
        assert image != ANSWER


FUZZED = Engine(max_images=4)


@pytest.mark.parametrize(
    ("feature", "wat"),
    [
        ("threads", "(module (memory 1 1 shared))"),
        ("atomics", "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))"),
        ("two memories", "(module (memory 1) (memory 1))"),
        ("page sizes", "(module (memory 1 (pagesize 1)))"),
        ("GC types", "(module (type (struct (field i32))))"),
        ("GC instructions", "(module (func (drop (ref.i31 (i32.const 0)))))"),
        ("function references", "(module (type $f (func)) (func (param (ref null $f))))"),
        ("relaxed SIMD", "(module (func (param v128 v128 v128) (drop (f32x4.relaxed_madd"
         " (local.get 0) (local.get 1) (local.get 2)))))"),
        ("wide arithmetic", "(module (func (param i64 i64) (result i64 i64)"
         " (i64.mul_wide_u (local.get 0) (local.get 1))))"),
    ],
)  # fmt: skip
def test_guests_must_not_have(engine, feature, wat):
    with pytest.raises(BadRequest, match=r"^Invalid WebAssembly image: "):
        engine.compile(assemble(wat))


@pytest.mark.parametrize(
    "wat",
    [
        '(module (memory i64 1) (func (export "f") (result i64) (i64.load (i64.const 0))))',
        "(module (tag $t) (func (block $h (try_table (catch $t $h) (throw $t)))))",
        "(module (func $f (return_call $f)))",
        "(module (func (result v128) (v128.const i64x2 1 2)))",
        "(module (func (result i32 i64) i32.const 1 i64.const 2))",
        "(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 9))))",
        "(module (table 1 externref) (func (table.set (i32.const 0) (ref.null extern))))",
    ],
)
def test_guests_may_have(engine, wat):
    Instance(engine.compile(assemble(wat)))


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ("(memory 1)", "Import env.x is a memory"),
        ("(table 1 funcref)", "Import env.x is a table"),
        ("(global i32)", "Import env.x is a global"),
        ("(tag)", "Import env.x is a tag"),
        ("(func (param externref))", "Import env.x has the signature .r."),
    ],
)
def test_imports_must_be_functions_of_numbers(engine, declared, text):
    with pytest.raises(BadRequest, match=text):
        engine.compile(assemble(f'(module (import "env" "x" {declared}))'))


def test_image_too_large_is_refused_unread(engine, monkeypatch):
    monkeypatch.setattr(engine_module, "MAX_IMAGE_BYTES", 10)
    with pytest.raises(TooLarge, match="limit 10"):
        engine.compile(ANSWER)


def test_known_image_is_not_compiled_again(engine):
    assert engine.compile(ANSWER) is engine.compile(bytes(ANSWER))


def test_metered_image_is_another_one(engine):
    assert engine.compile(ANSWER) is not engine.compile(ANSWER, metered=True)


def test_only_so_many_images_are_kept():
    engine = Engine(max_images=2)
    first = engine.compile(ANSWER)
    for number in range(2):
        engine.compile(assemble(f"(module (func (result i32) i32.const {number}))"))
    assert engine.compile(ANSWER) is not first


def test_threads_that_ask_at_once_share_one_compilation(monkeypatch):
    engine = Engine()
    started, asked = threading.Event(), threading.Event()
    compiled = []

    def compile_slowly(*arguments, **options):
        compiled.append(started.set())
        assert asked.wait(10)
        return original(*arguments, **options)

    original = engine_module.compile_sections
    monkeypatch.setattr(engine_module, "compile_sections", compile_slowly)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(engine.compile, ANSWER)
        assert started.wait(10)
        second = threads.submit(engine.compile, ANSWER)
        asked.set()
        assert first.result() is second.result()
    assert len(compiled) == 1


def test_failed_compilation_is_not_remembered(engine):
    for _ in range(2):
        with pytest.raises(BadRequest):
            engine.compile(b"nothing")


async def test_epochs_run_until_cancelled_and_only_once():
    engine = Engine()
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run_epochs)
        with pytest.raises(RuntimeError, match="running already"):
            await engine.run_epochs()
        with trio.fail_after(30):
            await trio.to_thread.run_sync(wait_for_ticks, engine, 3)
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run_epochs)
        nursery.cancel_scope.cancel()


def wait_for_ticks(engine, count):
    last = engine.epochs.now + count
    while engine.epochs.now < last:
        threading.Event().wait(0.001)


# Artefacts: compiled code on disk.


def modules_compiled(monkeypatch):
    compiled = []
    original = engine_module.compile_sections

    def compile_sections(*arguments, **options):
        compiled.append(1)
        return original(*arguments, **options)

    monkeypatch.setattr(engine_module, "compile_sections", compile_sections)
    return compiled


def answer_of(image):
    return Instance(image).call("f", [])


def test_second_process_loads_the_artefact(tmp_path, monkeypatch):
    compiled = modules_compiled(monkeypatch)
    for _ in range(2):
        assert answer_of(Engine(tmp_path / "cache").compile(ANSWER)) == [42]
    assert len(compiled) == 1


def test_artefacts_lie_where_only_this_user_gets(tmp_path):
    Engine(tmp_path / "a" / "cache").compile(ANSWER)
    files = [tmp_path / "a" / "cache", *(tmp_path / "a" / "cache").iterdir()]
    assert len(files) == 3
    assert not any(stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files)


def test_artefact_name_tells_image_wheel_and_flags(tmp_path):
    engine = Engine(tmp_path / "cache")
    engine.compile(ANSWER)
    engine.compile(ANSWER, metered=True)
    names = sorted(path.name for path in (tmp_path / "cache").glob("*.cwasm"))
    assert len(names) == 2
    assert all(name.startswith(hashlib.sha256(ANSWER).hexdigest() + "-50.0.1-") for name in names)


@pytest.mark.parametrize("damage", [b"", b"x", b"\x7fELF"])
def test_damaged_artefact_is_made_again(tmp_path, monkeypatch, damage):
    compiled = modules_compiled(monkeypatch)
    Engine(tmp_path / "cache").compile(ANSWER)
    (artefact,) = (tmp_path / "cache").glob("*.cwasm")
    artefact.write_bytes(damage + artefact.read_bytes()[len(damage) + 1 :])
    assert answer_of(Engine(tmp_path / "cache").compile(ANSWER)) == [42]
    assert len(compiled) == 2
    assert answer_of(Engine(tmp_path / "cache").compile(ANSWER)) == [42]
    assert len(compiled) == 2


def test_artefact_of_another_engine_is_made_again(tmp_path, monkeypatch):
    compiled = modules_compiled(monkeypatch)
    monkeypatch.setattr(engine_module, "artefact_name", lambda key: "same")
    engine = Engine(tmp_path / "cache")
    engine.compile(ANSWER)
    engine.compile(ANSWER, metered=True)
    assert len(compiled) == 2


def test_artefact_that_others_can_write_is_not_trusted(tmp_path, monkeypatch):
    compiled = modules_compiled(monkeypatch)
    Engine(tmp_path / "cache").compile(ANSWER)
    (artefact,) = (tmp_path / "cache").glob("*.cwasm")
    artefact.chmod(0o666)
    Engine(tmp_path / "cache").compile(ANSWER)
    assert len(compiled) == 2


def test_cache_directory_that_others_can_write_is_refused(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(ConfigError, match="mode 0700"):
        Engine(tmp_path / "cache")


def test_cache_directory_that_can_not_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="can't be made"):
        Engine(tmp_path / "file" / "cache")


def test_only_the_newest_artefacts_are_kept(tmp_path):
    artefacts = Artefacts(tmp_path / "cache", limit=2)
    module = Engine().compile(ANSWER).module
    for number, name in enumerate("abc"):
        artefacts.save(name, module)
        os.utime(tmp_path / "cache" / f"{name}.cwasm", (number, number))
    artefacts.save("d", module)
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {
        *("c.cwasm", "c.sha256", "d.cwasm", "d.sha256"),
    }


def test_full_disk_costs_only_the_artefact(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert answer_of(Engine(tmp_path / "cache").compile(ANSWER)) == [42]
    assert list((tmp_path / "cache").iterdir()) == []
