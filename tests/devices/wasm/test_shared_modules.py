"""Modules that other people built, compared with three other engines (spec/06 §6)."""

from __future__ import annotations

import hashlib
import json

import pytest

from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.restoring import Restorer, restore
from hyperbeam_trio.devices.wasm.snapshot import ZERO_ID, take_snapshot
from hyperbeam_trio.devices.wasm.wasi import Wasi
from hyperbeam_trio.errors import GuestError

ENVIRONMENT = (
    b'{"Process":{"Id":"AOS","Owner":"FOOBAR","Tags":[{"name":"Name","value":"Thomas"},'
    b'{"name":"Authority","value":"FOOBAR"}]}}'
)

FRESH = "9f4438328477b3fb88ebba2b3bc8201b9d7c717a00313ac81b000776c990ff67"

# Code, pointers of message and environment, pointer and length of the reply, sha256 of the reply,
# sha256 of the memory.
STEPS = [
    (
        "return 1+1",
        (8737248, 8737416, 10013288, 228),
        "86dd7630a516c1bd3e0b2b0bb4b61524355a1d2dc65f050ad93b4a81a9e6f449",
        "60918930e291c8603b7719dbcb61f03828686ce5da259a78c93d9107ba10cfb5",
    ),
    (
        "x=5; return x*2",
        (8764736, 9128464, 9552280, 230),
        "996596ec34c0721c075b6797b81828b09e4124d2a5c50d801a8fadf633bc585b",
        "127815cd80663861d3e2c366b50a5dc7543418b7014022a657eff24b05202a3e",
    ),
    (
        'error("boom")',
        (9441896, 9178312, 9697000, 91),
        "883fab6d98817277ed2be72b6da49a5c5ace3d0751b14af4250967d17f723543",
        "6c8fdfbac0a0547e868d43ecb6d2ab029474f8430608cb8ee27f40f29c514db7",
    ),
    (
        "local ok,e=pcall(function() error({a=1}) end); return tostring(ok)",
        (9346856, 9141968, 9194336, 236),
        "d43a0a1120951165d99c3b019927538bc7d29173fb6d6417038a89d27aba3e7c",
        "c8e79d1f598ad5fb4e9715982f76217fa2551566cea7f8f4e4f4cd7f672948da",
    ),
    (
        'Send({Target="Foo",Data="Bar",Action="Hi"}); return #ao.outbox.Messages',
        (9863344, 9822384, 9820624, 483),
        "aaee98b11a1290e0d99b8e33bcea0019743c59e8019b0ec0b89fe4c5f6b00d25",
        "fb384a2f5d9621cb2d85081c8fb3f31620697175643e11f1ee3bf068a8394134",
    ),
    (
        "local s=0; for i=1,100000 do s=s+i end return s",
        (9217888, 9479608, 9113912, 246),
        "3f118f3fb2647016682daba351b624f28332788c85799d40b6b5b074e6d00b79",
        "ffe75a339ec488d87b37bf39f2cb75334f6cc972ba501a820fefbf376e8a6a78",
    ),
    (
        "return math.random(100000)",
        (9826048, 9834064, 8765024, 236),
        "84bb93ba281bb5727b94394215b63cecf0906c05ec658c64002ae2182d9be201",
        "568775a30235e83327ad91616ca4045ac13dc9eb163be8cefba00ac0cbae2214",
    ),
    (
        "local t={} for i=1,20000 do t[i]=tostring(i) end BIG=t return #t",
        (9797584, 9823104, 10356864, 236),
        "d0947f48d452a9e6e0b670cc0db4ddd9f2534287254bdf9c6408101d193cfe19",
        "9c16f803558debf11eb00fd2061ae79d6756800fc0e4a6e4efc7b015519435d9",
    ),
]


def message(number: int, code: str) -> bytes:
    return (
        '{"From":"FOOBAR","Block-Height":"1","Target":"AOS","Owner":"FOOBAR",'
        f'"Id":"{number}","Module":"W","Tags":[{{"name":"Action","value":"Eval"}}],'
        f'"Data":{json.dumps(code)}}}'
    ).encode()


def evaluate(instance: Instance, number: int, code: str) -> tuple[tuple[int, ...], bytes]:
    """One message to an aos guest: the pointers and the reply."""
    given = instance.write_string(message(number, code)), instance.write_string(ENVIRONMENT)
    (pointer,) = instance.call("handle", given)
    reply = instance.read_string(int(pointer))
    return (*given, int(pointer), len(reply)), reply


def memory_hash(instance: Instance) -> str:
    return hashlib.sha256(instance.memory.read(0, instance.memory.size)).hexdigest()


@pytest.fixture
def aos(guest, shared_module) -> Instance:
    return guest(shared_module("aos-2-pure-xs.wasm"), Wasi().bind)


def test_aos_does_the_same_as_on_three_other_engines(aos):
    assert memory_hash(aos) == FRESH
    for number, (code, pointers, reply_hash, after) in enumerate(STEPS, 1):
        found, reply = evaluate(aos, number, code)
        assert found == pointers, code
        assert hashlib.sha256(reply).hexdigest() == reply_hash, code
        assert memory_hash(aos) == after, code


def test_first_reply_of_aos_is_this_text(aos):
    _, reply = evaluate(aos, 1, "return 1+1")
    assert json.loads(reply)["response"]["Output"]["data"] == "2"
    assert reply.startswith(b'{"ok":true,"response":{"Assignments":[],"Messages":[],"Output":{')


@pytest.mark.parametrize("interrupted_after", [1, 3, 5])
def test_aos_goes_on_from_a_snapshot_as_if_nothing_had_happened(
    aos, guest, shared_module, interrupted_after
):
    first, rest = STEPS[:interrupted_after], STEPS[interrupted_after:]
    for number, (code, *_) in enumerate(first, 1):
        evaluate(aos, number, code)
    resumed = guest(shared_module("aos-2-pure-xs.wasm"), Wasi().bind)
    restore(resumed, aos.memory.read(0, aos.memory.size))
    for number, (code, pointers, _, after) in enumerate(rest, interrupted_after + 1):
        assert evaluate(resumed, number, code)[0] == pointers
        assert memory_hash(resumed) == after


def test_pages_of_every_slot_rebuild_aos(aos, guest, shared_module):
    kept, taken = {}, []
    for number, (code, _, _, after) in enumerate(STEPS[:4], 1):
        evaluate(aos, number, code)
        snapshot = take_snapshot(aos)
        kept |= {id: snapshot.content(n) for n, id in enumerate(snapshot.pages) if id not in kept}
        taken.append((snapshot, after))
    for snapshot, after in taken:
        resumed = guest(shared_module("aos-2-pure-xs.wasm"), Wasi().bind)
        restorer = Restorer(resumed, snapshot.size)
        restorer.write((n, kept[id]) for n, id in enumerate(snapshot.pages) if id != ZERO_ID)
        restorer.finish()
        assert memory_hash(resumed) == after


def test_aos_uses_the_same_fuel_for_the_same_message(guest, shared_module):
    used = []
    for _ in range(2):
        limited = guest(
            shared_module("aos-2-pure-xs.wasm"), Wasi().bind, Limits(fuel=1_000_000_000)
        )
        evaluate(limited, 1, "return 1+1")
        evaluate(limited, 2, "return 1+1")
        used.append(limited.fuel_used)
    assert used[0] == used[1] > 100_000


@pytest.mark.parametrize(
    "name", ["test-standalone-wex-aos.wasm", "test-wasi-aos.wasm", "test-aos.wasm"]
)
def test_ping_pong_process_answers(guest, shared_module, name):
    process = guest(shared_module(name), Wasi().bind)
    for number in range(1, 4):
        _, reply = evaluate(process, number, "return 1")
        assert json.loads(reply)["response"]["Output"] == "sent pong reply"
        assert take_snapshot(process).size == process.memory.size


@pytest.mark.parametrize("name", ["test.wasm", "test-64.wasm"])
def test_factorial(guest, shared_module, name):
    factorial = guest(shared_module(name))
    assert factorial.call("fac", [5.0]) == [120.0]
    assert factorial.call("fac", ["10"]) == [3628800.0]
    assert take_snapshot(factorial) is None


def test_print_writes_two_vectors_to_standard_output(guest, shared_module):
    wasi = Wasi()
    assert guest(shared_module("test-print.wasm"), wasi.bind).call("hello", []) == [22]
    assert wasi.files.files["/dev/stdout"] == b"Hello, World!\nHowdy!\n\x00"


def test_calling_runs_and_knows_its_bounds(guest, shared_module):
    calling = guest(shared_module("test-calling.wasm"), Wasi().bind)
    assert calling.call("main", [0, 0]) == [1]
    calling.write_string(b"some text")
    with pytest.raises(GuestError, match="malloc has no"):
        calling.write_string(bytes(128 << 20))


@pytest.mark.parametrize(("bound", "expected"), [(True, 32), (False, 0)])
def test_power_multiplies_by_an_import(guest, shared_module, bound, expected):
    products = []

    def multiply(instance, arguments):
        products.append(arguments)
        return [arguments[0] * arguments[1]]

    def bind(module, name, signature):
        return multiply if bound and (module, name) == ("my_lib", "mul") else None

    assert guest(shared_module("pow_calculator.wasm"), bind).call("pow", [2, 5]) == [expected]
    assert len(products) == (5 if bound else 0)
