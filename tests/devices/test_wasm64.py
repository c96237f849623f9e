"""wasm-64@1.0: guests behind states that are values (spec/06 §1)."""

from __future__ import annotations

import gc
import weakref

import pytest
import wasmtime

from hyperbeam_trio.errors import BadRequest, GuestLimit, NotFound, StateLost
from hyperbeam_trio.message import Atom, Message
from hyperbeam_trio.testing.node import running_node

FACTORIAL = """
(module
  (func $fac (export "fac") (param f64) (result f64)
    (if (result f64) (f64.lt (local.get 0) (f64.const 1))
      (then (f64.const 1))
      (else (f64.mul (local.get 0) (call $fac (f64.sub (local.get 0) (f64.const 1)))))))
  (func (export "trap") unreachable)
  (func (export "forever") (loop (br 0))))
"""

COUNTER = """
(module
  (memory (export "memory") 1 4)
  (func (export "add") (param i32) (result i32)
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0)))
    (i32.load (i32.const 0)))
  (func (export "spoil")
    (i32.store (i32.const 0) (i32.const 999)) unreachable)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "forever") (i32.store (i32.const 0) (i32.const 7)) (loop (br 0))))
"""

IMPORTER = """
(module
  (import "my_lib" "mul" (func $mul (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "square") (param i32) (result i32)
    (call $mul (local.get 0) (local.get 0))))
"""

PRINTER = """
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "hello\\n")
  (func (export "print") (result i32)
    (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 6))
    (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
"""


def _base(wat: str, **keys) -> Message:
    return Message({"device": "wasm-64@1.0", "body": bytes(wasmtime.wat2wasm(wat)), **keys})


def _call(function: str, *parameters, **keys) -> Message:
    return Message(path="compute", function=function, parameters=list(parameters), **keys)


async def _output(node, state: Message):
    results = await node.resolve(state, "results")
    return results["type"], await node.cache.load_all(results["output"])


async def test_a_call_of_a_function(node):
    state = await node.resolve(await node.resolve(_base(FACTORIAL), "init"), _call("fac", 5.0))
    assert await _output(node, state) == (Atom("ok"), [120.0])


@pytest.mark.parametrize("parameter", [10, 10.0, "10"])
async def test_integers_and_text_are_numbers_too(node, parameter):
    base = await node.resolve(_base(FACTORIAL), "init")
    state = await node.resolve(base, _call("fac", parameter))
    assert await _output(node, state) == (Atom("ok"), [3628800.0])


async def test_an_image_by_id_and_everything_in_one_path(node):
    image = await node.cache.write(Message(body=bytes(wasmtime.wat2wasm(FACTORIAL))))
    for path in (
        f"/{image}~wasm-64@1.0/init/compute&function=fac&parameters+list=10/results/output/1",
        f"/~wasm-64@1.0&image={image}/init/compute&function=fac&parameters+list=10/results/output/1",
    ):
        assert await node.resolve(path) == 3628800.0


async def test_without_a_function_the_state_is_as_it_was(node):
    base = await node.resolve(_base(FACTORIAL), "init")
    assert await node.resolve(base, "compute") == base


async def test_a_later_pass_is_left_to_others(node):
    base = await node.resolve(_base(FACTORIAL, **{"pass": 2}), "init")
    assert "results" not in await node.resolve(base, _call("fac", 1.0))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (_call("trap"), "unreachable"),
        (_call("nope"), "Function not found: nope"),
    ],
)
async def test_a_failing_guest_is_a_result_with_an_error(node, call, text):
    base = await node.resolve(_base(FACTORIAL), "init")
    kind, output = await _output(node, await node.resolve(base, call))
    assert kind == Atom("error")
    assert text in output.decode()
    assert await _output(node, await node.resolve(base, _call("fac", 5.0))) == (
        Atom("ok"),
        [120.0],
    )


async def test_wrong_arguments_name_the_function(node):
    base = await node.resolve(_base(FACTORIAL), "init")
    with pytest.raises(BadRequest, match="fac takes 1 parameters, 2 given"):
        await node.resolve(base, _call("fac", 1, 2))
    with pytest.raises(BadRequest, match="not a number"):
        await node.resolve(base, _call("fac", "ten"))


async def test_rubbish_is_no_image(node):
    with pytest.raises(BadRequest, match="Invalid WebAssembly image"):
        await node.resolve(Message(device="wasm-64@1.0", body="rubbish"), "init")
    with pytest.raises(BadRequest, match="No viable image found in image"):
        await node.resolve(Message(device="wasm-64@1.0"), "init")
    with pytest.raises(NotFound, match="image"):
        await node.resolve(Message(device="wasm-64@1.0", image="A" * 43), "init")


async def test_compute_before_init_says_what_is_missing(node):
    with pytest.raises(StateLost, match="no_wasm_instance_or_snapshot"):
        await node.resolve(_base(FACTORIAL), _call("fac", 1.0))


async def test_a_state_is_a_value_however_often_it_is_asked(node):
    zero = await node.resolve(_base(COUNTER), "init")
    one = await node.resolve(zero, _call("add", 1))
    two = await node.resolve(one, _call("add", 1))
    fork = await node.resolve(one, _call("add", 10))
    again = await node.resolve(two, _call("add", 1))
    outputs = [(await _output(node, state))[1] for state in (one, two, fork, again)]
    assert outputs == [[1], [2], [11], [3]]


async def test_long_histories_can_be_forked_anywhere(node):
    state = await node.resolve(_base(COUNTER), "init")
    states = [state]
    for _ in range(40):
        state = await node.resolve(state, _call("add", 1))
        states.append(state)
    for number in (39, 17, 3):
        fork = await node.resolve(states[number], _call("add", 100))
        assert (await _output(node, fork))[1] == [number + 100]


async def test_a_trap_leaves_no_trace_in_the_memory(node):
    one = await node.resolve(await node.resolve(_base(COUNTER), "init"), _call("add", 1))
    spoiled = await node.resolve(one, _call("spoil"))
    assert (await _output(node, spoiled))[0] == Atom("error")
    assert (await _output(node, await node.resolve(spoiled, _call("add", 1))))[1] == [2]


async def test_a_snapshot_brings_a_guest_back(node):
    one = await node.resolve(await node.resolve(_base(COUNTER), "init"), _call("add", 5))
    snapshot = await node.resolve(one, "snapshot")
    assert len(await node.cache.load(snapshot["body"])) == 65536
    cold = Message.of(dict(one)).set(snapshot=snapshot)
    warm = await node.resolve(cold, "normalize")
    assert "snapshot" not in warm
    assert (await _output(node, await node.resolve(warm, _call("add", 1))))[1] == [6]


async def test_a_terminated_guest_is_gone(node):
    base = await node.resolve(_base(COUNTER), "init")
    ended = await node.resolve(base, "terminate")
    with pytest.raises(StateLost):
        await node.resolve(ended, _call("add", 1))


async def test_imports_are_answered_by_the_device_in_the_library(node):
    library = {"my_lib": {"device": "test-device@1.0"}}
    base = await node.resolve(_base(IMPORTER, stdlib=library), "init")
    assert (await _output(node, await node.resolve(base, _call("square", 7))))[1] == [49]


async def test_imports_that_nobody_answers_give_zero(node):
    base = await node.resolve(_base(IMPORTER), "init")
    assert (await _output(node, await node.resolve(base, _call("square", 7))))[1] == [0]


async def test_what_a_guest_prints_is_in_the_state(node):
    descriptors = {
        str(n): {"filename": f"/dev/{f}", "offset": 0}
        for n, f in enumerate(("stdin", "stdout", "stderr"))
    }
    vfs = {"dev": {"stdin": "", "stdout": "", "stderr": ""}}
    base = _base(PRINTER, **{"file-descriptors": descriptors, "vfs": vfs})
    state = await node.resolve(await node.resolve(base, "init"), _call("print"))
    assert await node.resolve(state, "vfs/dev/stdout") == b"hello\n"


async def test_the_output_prefix_says_where_results_go(node):
    base = _base(FACTORIAL, **{"output-prefix": "wasm"})
    state = await node.resolve(await node.resolve(base, "init"), _call("fac", 3.0))
    assert await node.resolve(state, "results/wasm/output/1") == 6.0


@pytest.mark.parametrize("wat", [FACTORIAL, COUNTER])
async def test_a_guest_that_never_ends_is_ended(wat):
    async with running_node(wasm_time_limit=0.05) as node:
        base = await node.resolve(_base(wat), "init")
        with pytest.raises(GuestLimit) as caught:
            await node.resolve(base, _call("forever"))
        assert (caught.value.status, caught.value.details["limit"]) == (503, "time")
        name = "fac" if wat is FACTORIAL else "add"
        assert (await _output(node, await node.resolve(base, _call(name, 1))))[1] == [1]


async def test_memory_beyond_the_limit_is_refused_politely():
    async with running_node(wasm_memory_limit=65536) as node:
        base = await node.resolve(_base(COUNTER), "init")
        assert (await _output(node, await node.resolve(base, _call("grow", 1))))[1] == [-1]


async def test_fuel_is_metered_where_an_option_asks_for_it():
    async with running_node(wasm_fuel_limit=1000) as node:
        base = await node.resolve(_base(FACTORIAL), "init")
        assert (await _output(node, await node.resolve(base, _call("fac", 3.0))))[1] == [6.0]
        with pytest.raises(GuestLimit) as caught:
            await node.resolve(base, _call("fac", 1000.0))
        assert caught.value.details["limit"] == "fuel"


async def _fuel_that_ends(node, wat: str, call: Message, **keys) -> str | None:
    """The limit that a call meets on a base with more keys."""
    base = await node.resolve(_base(wat, **keys), "init")
    try:
        await node.resolve(base, call)
    except GuestLimit as limit:
        return limit.details["limit"]
    return None


@pytest.mark.parametrize("wat", [FACTORIAL, COUNTER])
async def test_calls_inside_a_process_are_metered(wat):
    async with running_node(process_fuel_limit=1000, wasm_time_limit=0.05) as node:
        forever = _call("forever")
        assert await _fuel_that_ends(node, wat, forever) == "time"
        assert await _fuel_that_ends(node, wat, forever, process={"x": 1}) == "fuel"
        assert await _fuel_that_ends(node, wat, forever) == "time"
        node.reconfigure({"process-fuel-limit": None})
        assert await _fuel_that_ends(node, wat, forever, process={"x": 1}) == "time"


async def test_of_two_fuel_limits_the_lesser_counts():
    call = _call("fac", 1000.0)
    for everywhere, inside, expected in ((100, 10**6, "fuel"), (10**6, 100, "fuel")):
        async with running_node(wasm_fuel_limit=everywhere, process_fuel_limit=inside) as node:
            assert await _fuel_that_ends(node, FACTORIAL, call, process={"x": 1}) == expected
    async with running_node(wasm_fuel_limit=10**6, process_fuel_limit=10**6) as node:
        assert await _fuel_that_ends(node, FACTORIAL, call, process={"x": 1}) is None


async def test_a_guest_that_was_metered_goes_on_when_nothing_is_metered_any_more():
    async with running_node(process_fuel_limit=1_000_000) as node:
        base = await node.resolve(_base(COUNTER, process={"x": 1}), "init")
        one = await node.resolve(base, _call("add", 1))
        node.reconfigure({"process-fuel-limit": None})
        for number in (2, 3):
            again = await node.resolve(one, _call("add", number))
            assert (await _output(node, again))[1] == [1 + number]


async def test_compiled_modules_outlive_a_node(tmp_path):
    for _ in range(2):
        async with running_node(wasm_artefacts=str(tmp_path / "compiled")) as node:
            await node.resolve(_base(COUNTER), "init")
            kept = sorted(path.suffix for path in (tmp_path / "compiled").iterdir())
            assert kept == [".cwasm", ".sha256"]


async def test_a_place_that_will_not_do_for_compiled_modules_costs_only_time(tmp_path, caplog):
    (tmp_path / "file").touch()
    async with running_node(wasm_artefacts=str(tmp_path / "file")) as node:
        one = await node.resolve(await node.resolve(_base(COUNTER), "init"), _call("add", 5))
        assert (await _output(node, one))[1] == [5]
    assert "compiled anew after each start" in caplog.text


GLOBAL = """
(module
  (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 0))
  (func (export "add") (param i32) (result i32)
    (global.set $count (i32.add (global.get $count) (local.get 0)))
    (global.get $count)))
"""


@pytest.mark.parametrize("wat", [COUNTER, GLOBAL])
async def test_any_state_can_be_gone_back_to_however_many_calls_ago(node, wat):
    states = [await node.resolve(_base(wat), "init")]
    for _ in range(70):
        states.append(await node.resolve(states[-1], _call("add", 1)))
    for number in (70, 3, 68, 3, 0, 64, 65):
        again = await node.resolve(states[number], _call("add", 1))
        assert (await _output(node, again))[1] == [number + 1]


async def test_a_guest_is_gone_with_the_last_state_that_leads_to_it(node):
    gc.disable()
    try:
        state = await node.resolve(await node.resolve(_base(COUNTER), "init"), _call("add", 1))
        (handle,) = (h for name, h in state.private.items() if name.startswith("wasm:"))
        instance = weakref.ref(handle.live.instance)
        del handle, state
        assert instance() is None
    finally:
        gc.enable()
