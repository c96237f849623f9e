"""A guest that counts its calls of `handle`, with addresses of 64 bits and of 32."""

from __future__ import annotations

import wasmtime

from hyperbeam_trio.devices.wasm.engine import Engine
from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.series import Outcome

PROGRAM = """
(module
  (memory (export "memory") {index} 2 4)
  (global $next (mut {word}) ({word}.const 4096))
  (func (export "malloc") (param $size {word}) (result {word}) (local $at {word})
    (if (result {word})
      ({word}.gt_u ({word}.add (global.get $next) (local.get $size)) ({word}.const 131072))
      (then ({word}.const 0))
      (else
        (local.set $at (global.get $next))
        (global.set $next ({word}.add (local.get $at) (local.get $size)))
        (local.get $at))))
  (func (export "handle") (param $message {word}) (param $process {word}) (result {word})
    ;; Answers with the process's text, after it has counted in its second byte; `!` is refused.
    (if (i32.eq (i32.load8_u (local.get $message)) (i32.const 33)) (then unreachable))
    (i32.store8 ({word}.const 9) (i32.add (i32.load8_u ({word}.const 9)) (i32.const 1)))
    (i32.store8 offset=1 (local.get $process) (i32.add (i32.const 65)
      (i32.rem_u (i32.load8_u ({word}.const 9)) (i32.const 26))))
    (local.get $process)))
"""
WIDE, NARROW = (
    bytes(wasmtime.wat2wasm(PROGRAM.format(index=index, word=word)))
    for index, word in (("i64", "i64"), ("", "i32"))
)
ENGINE = Engine()


def guest_of(code: bytes, fuel: int | None = None) -> Instance:
    """A guest of one of these modules."""
    return Instance(ENGINE.compile(code, metered=fuel is not None), limits=Limits(fuel=fuel))


def called_one_by_one(guest: Instance, calls: list[tuple[bytes, bytes]]) -> list[Outcome]:
    """What calls of `handle` come to that are made singly."""
    outcomes = []
    for texts in calls:
        addresses = [guest.write_string(text) for text in texts]
        (result,) = guest.call("handle", addresses)
        outcomes.append(Outcome(tuple(addresses), int(result), guest.read_string(int(result))))
    return outcomes
