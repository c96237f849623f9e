"""Several calls of a guest in one go, without Python in between (spec/06 §3.1, §7.3).

A helper module stands beside the guest in its store. It has a memory of its own, the desk: the host
lays texts on it, the helper copies each into memory that it gets from the guest's `malloc`, calls
the guest's function with their addresses, and copies the text that the result points at back onto
the desk. The guest sees what it would see if the host did it, to the byte.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import wasmtime

from hyperbeam_trio.devices.wasm.function import prepare
from hyperbeam_trio.devices.wasm.image import Image
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.layout import PAGE_BYTES
from hyperbeam_trio.devices.wasm.memory import Memory
from hyperbeam_trio.devices.wasm.signature import Signature

FUNCTION: Final = "handle"
TEXTS: Final = 2
"""What is called, and with how many texts: the convention of AO's legacy modules."""

SECONDS: Final = 1.0
"""How long a whole series may take; the caller makes calls that take longer one by one."""

_START: Final = 8
"""Where the input begins on the desk; before it stands how many calls are done."""
_LENGTH: Final = struct.Struct("<I")
_RESULT: Final = struct.Struct("<QQqI")

_HELPER: Final = """
(module
  (import "guest" "memory" (memory $guest {index} 0))
  (import "guest" "malloc" (func $malloc (param {word}) (result {word})))
  (import "guest" "handle" (func $handle (param {word} {word}) (result {word})))
  (memory $desk (export "desk") 1)

  (func $put (param $at i32) (param $length i32) (result {word}) (local $to {word})
    (local.set $to (call $malloc {wide_length}))
    (if ({word}.ne (local.get $to) ({word}.const 0))
      (then (memory.copy $guest $desk (local.get $to) (local.get $at) (local.get $length))))
    (local.get $to))

  (func $end (param $at {word}) (result {word})
    (loop $next
      (if (i32.load8_u $guest (local.get $at))
        (then
          (local.set $at ({word}.add (local.get $at) ({word}.const 1)))
          (br $next))))
    (local.get $at))

  (func $room (param $end i32) (result i32)
    (if (result i32) (i32.le_u (local.get $end) (i32.shl (memory.size $desk) (i32.const 16)))
      (then (i32.const 1))
      (else
        (i32.ne (i32.const -1)
          (memory.grow $desk (i32.add (i32.const 1) (i32.sub
            (i32.shr_u (local.get $end) (i32.const 16)) (memory.size $desk))))))))

  (func (export "run") (param $in i32) (param $count i32) (param $out i32)
    (local $first {word}) (local $second {word}) (local $result {word}) (local $length i32)
    (loop $calls
      (local.set $first (call $put (i32.add (local.get $in) (i32.const 4))
        (i32.load $desk (local.get $in))))
      (local.set $in (i32.add (i32.add (local.get $in) (i32.const 4))
        (i32.load $desk (local.get $in))))
      (if ({word}.eqz (local.get $first)) (then unreachable))
      (local.set $second (call $put (i32.add (local.get $in) (i32.const 4))
        (i32.load $desk (local.get $in))))
      (local.set $in (i32.add (i32.add (local.get $in) (i32.const 4))
        (i32.load $desk (local.get $in))))
      (if ({word}.eqz (local.get $second)) (then unreachable))
      (local.set $result (call $handle (local.get $first) (local.get $second)))
      (local.set $length {narrow_length})
      (if (i32.eqz (call $room (i32.add (local.get $out) (i32.add (local.get $length)
          (i32.const 28))))) (then unreachable))
      (i64.store $desk (local.get $out) {first})
      (i64.store $desk offset=8 (local.get $out) {second})
      (i64.store $desk offset=16 (local.get $out) {result})
      (i32.store $desk offset=24 (local.get $out) (local.get $length))
      (memory.copy $desk $guest (i32.add (local.get $out) (i32.const 28)) (local.get $result)
        (local.get $length))
      (local.set $out (i32.add (local.get $out) (i32.add (local.get $length) (i32.const 28))))
      (i32.store $desk (i32.const 0) (i32.add (i32.load $desk (i32.const 0)) (i32.const 1)))
      (br_if $calls (i32.lt_u (i32.load $desk (i32.const 0)) (local.get $count))))))
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One call: the addresses of its texts, its result, and the text that this points at."""

    addresses: tuple[int, ...]
    result: int
    text: bytes


def can_run(image: Image) -> bool:
    """Whether guests of an image can be called in series."""
    memory = image.layout.memory
    if memory is None:
        return False
    word = "I" if memory.is_64 else "i"
    wanted = {"malloc": Signature(word, word), FUNCTION: Signature(word * TEXTS, word)}
    return all(image.functions.get(name) == signature for name, signature in wanted.items())


class Runner:
    """Calls one guest in series; one thread at a time, as for the guest itself."""

    def __init__(self, instance: Instance) -> None:
        """Put the helper beside a guest whose image `can_run`."""
        self._instance = instance
        image, guest = instance.image, instance.guest
        parts = [image.exposure.memory or "", "malloc", FUNCTION]
        helper = instance.beside(helper_of(image), parts)
        self._desk = Memory(guest, helper.export("desk").of.memory, is_64=False)
        self._run = prepare(guest, "run", Signature("iii"), helper.export("run").of.func)

    def run(self, calls: Sequence[Sequence[bytes]]) -> list[Outcome]:
        """Call `handle` with each pair of texts in turn; the outcomes of those that were done.

        Where they are fewer than the calls, the guest was ended in the middle of the next one and
        is damaged. Blocks while the guest runs, without the GIL. Where fuel is metered, all of
        them share what one call may use: what is done would have been done alone too, and what is
        ended may still go through alone.
        """
        texts = b"".join(
            _LENGTH.pack(len(text) + 1) + text + b"\0" for call in calls for text in call
        )
        desk, guest = self._desk, self._instance.guest
        desk.grow_to(-(-(_START + len(texts)) // PAGE_BYTES) * PAGE_BYTES)
        desk.write(0, bytes(_START) + texts)
        begin = _START + len(texts)
        try:
            with guest.hurried(SECONDS):
                self._run([_START, len(calls), begin])
        except Exception:
            if not guest.damaged:
                raise
        return self._outcomes(begin)

    def _outcomes(self, at: int) -> list[Outcome]:
        desk, outcomes = self._desk, []
        (done,) = _LENGTH.unpack(desk.read(0, _LENGTH.size))
        for _ in range(done):
            first, second, result, length = _RESULT.unpack(desk.read(at, _RESULT.size))
            text = desk.read(at + _RESULT.size, length)
            outcomes.append(Outcome((first, second), result, text))
            at += _RESULT.size + length
        return outcomes


def helper_of(image: Image) -> wasmtime.Module:
    """The helper for guests of an image; compiled once."""
    return image.kept("series", lambda: wasmtime.Module(image.engine, _assembled(image)))


def _assembled(image: Image) -> bytes:
    memory = image.layout.memory
    wide = memory is not None and memory.is_64
    length = "(i32.sub (call $end (local.get $result)) (local.get $result))"
    if wide:
        length = length.replace("i32.sub", "i32.wrap_i64 (i64.sub") + ")"
    widened = {name: _widened(name, wide) for name in ("first", "second", "result")}
    text = _HELPER.format(
        index="i64" if wide else "",
        word="i64" if wide else "i32",
        wide_length=_widened("length", not wide) if wide else "(local.get $length)",
        narrow_length=length,
        **widened,
    )
    return bytes(wasmtime.wat2wasm(text))


def _widened(name: str, wide: bool) -> str:
    local = f"(local.get ${name})"
    if wide:
        return local
    return f"(i64.extend_i32_{'s' if name == 'result' else 'u'} {local})"
