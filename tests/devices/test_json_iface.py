"""json-iface@1.0 and the stack that aos runs in (spec/06 §3, §4, §6)."""

from __future__ import annotations

import hashlib
import json

import pytest
import wasmtime

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.devices.json_iface import JsonIfaceDevice
from hyperbeam_trio.devices.legacy_json import write_json
from hyperbeam_trio.devices.legacy_results import read_response, results_of
from hyperbeam_trio.devices.wasm.access import access_of
from hyperbeam_trio.errors import GuestError
from hyperbeam_trio.message import UNSET, Atom, Message
from hyperbeam_trio.testing.device import DeviceContract
from tests.support.legacy_guest import PROGRAM, STACK
from tests.support.shared_modules import shared_module


class TestContract(DeviceContract):
    device = JsonIfaceDevice
    requests = [{"path": "init"}, {"path": "compute", "body": {"a": "1"}, "process": {}}]
    base = {"process": {"image": "I"}}


async def _process(node, code: bytes) -> Message:
    """The state of an aos process before its first message."""
    image = await node.cache.write(Message(body=code))
    definition = Message(image=image, name="Thomas", authority=node.address, type="Process")
    signed = await _signed(node, definition)
    base = {"device": "stack@1.0", "device-stack": STACK, "passes": 2, "process": signed}
    prefixes = {"input-prefix": "process", "output-prefix": "wasm"}
    return await node.resolve(Message({**base, **prefixes}), "init")


async def _signed(node, message: Message) -> Message:
    return await commit_signed(message, node.wallet, limiter=node.crypto_limiter)


async def _assigned(node, **body) -> Message:
    message = await _signed(node, Message(body))
    return Message({"path": "compute", "body": message, "block-height": 7})


async def _results(node, state: Message) -> Message:
    return await node.cache.load_all(await node.resolve(state, "results"))


# The JSON of a message.


async def test_a_message_as_programs_read_it(node):
    message = await _signed(node, Message({"data": "hé\n/", "x-reply-to": "m\x1b", "number": 5}))
    text = await node.resolve(Message(device="json-iface@1.0"), Message(path="to", message=message))
    assert '"Data":"hé\\n/"'.encode() in text
    assert rb'"m\u001B"' in text
    read = json.loads(text)
    assert list(read) == sorted(read)
    assert (read["Id"], read["From"], read["Owner"]) == (
        signed_id(message),
        node.address,
        node.address,
    )
    assert read["Tags"] == [
        {"name": "Ao-Types", "value": 'number="integer"'},
        {"name": "Number", "value": "5"},
        {"name": "X-Reply-To", "value": "m\x1b"},
    ]


def test_escapes_are_upper_case_and_escaped_backslashes_stay():
    assert write_json({"b": "\x1f", "a": "\\u001f"}) == rb'{"a":"\\u001f","b":"\u001F"}'


async def test_without_a_guest_the_parameters_are_the_texts_themselves(node):
    base = Message(device="json-iface@1.0", process={"image": "IMG", "nested": {"a": "1"}})
    state = await node.resolve(base, Message(path="compute", body={"data": "x"}))
    message, process = map(json.loads, state.list("parameters"))
    assert (message["Module"], message["Block-Height"]) == ("IMG", "not_found")
    tags = {tag["name"]: tag["value"] for tag in process["Process"]["Tags"]}
    assert tags["Nested"] == {"a": "1"}


# Responses.


def test_an_outbox_message_has_its_fields_and_tags_as_keys():
    sent = {"Target": "T", "Anchor": "1", "anchor": "2", "Tags": [{"name": "Action", "value": "A"}]}
    results = results_of({"Messages": [sent], "Output": {"data": "d"}}, "PID", "IMG")
    assert results["data"] == b"d"
    assert results["outbox"]["1"] == Message(
        {
            **{"target": "T", "anchor": "1", "tags": [{"name": "Action", "value": "A"}]},
            **{"Action": "A", "from-process": "PID", "from-image": "IMG"},
        }
    )


def test_an_error_sends_nothing_and_patches_may_remove():
    failed = results_of({"Error": "boom", "Messages": [{"Target": "T"}]}, None, None)
    assert (failed["data"], failed["outbox"], failed["patches"]) == (b"boom", Message(), [])
    patch = {"Tags": [{"name": "gone", "value": "__ao-unset__"}]}
    patched = results_of({"Output": {}, "patches": [patch]}, None, None)
    assert patched["patches"] == [Message(gone=UNSET)]
    assert results_of({"Output": "text", "Messages": [{}]}, None, None)["outbox"] == Message()


@pytest.mark.parametrize("text", [b"", b"nonsense", b"[1]", b'{"ok":false}', b'{"ok":true}'])
def test_answers_that_are_none(text):
    with pytest.raises(GuestError):
        read_response(text)


def test_a_response_nested_too_deep_is_the_guests_fault():
    deep: object = 1
    for _ in range(100):
        deep = [deep]
    with pytest.raises(GuestError, match="nested"):
        results_of({"Output": {}, "x": deep}, None, None)


# The stack.


async def test_a_process_of_a_guest_with_the_legacy_convention(node):
    begun = await _process(node, bytes(wasmtime.wat2wasm(PROGRAM)))
    first = await node.resolve(begun, await _assigned(node, data="one"))
    results = await _results(node, first)
    assert results["data"] == b"1"
    assert results["wasm"]["type"] == Atom("ok")
    sent = results["outbox"]["1"]
    assert (sent["target"], sent["anchor"], sent["Action"]) == (b"T", b"x", b"Hi")
    assert sent["from-process"] == signed_id(begun.message("process")).encode()
    assert results["raw"]["Output"] == Message(data="1")
    assert first.list("parameters")[0] == 0x2000


async def test_states_are_values_although_texts_are_written_into_the_guest(node):
    begun = await _process(node, bytes(wasmtime.wat2wasm(PROGRAM)))
    request = await _assigned(node, data="one")
    states = [begun]
    for _ in range(3):
        states.append(await node.resolve(states[-1], request))
    again = await node.resolve(states[1], request)
    assert (await _results(node, again))["data"] == b"2"
    assert again["parameters"] == states[2]["parameters"]
    assert again["parameters"] != states[3]["parameters"]


async def test_a_snapshot_goes_on_where_the_guest_was(node):
    begun = await _process(node, bytes(wasmtime.wat2wasm(PROGRAM)))
    request = await _assigned(node, data="one")
    state = await node.resolve(begun, request)
    snapshot = await node.resolve(state, Message(path="snapshot", mode="Map"))
    assert list(snapshot) == ["3"]
    warm = await node.resolve(state.reset().set_values({"snapshot": snapshot}), "normalize")
    restored, straight = await node.resolve(warm, request), await node.resolve(state, request)
    assert (await _results(node, restored))["data"] == b"2"
    assert restored["parameters"] == straight["parameters"]


async def test_a_guest_that_traps_fails_its_message(node):
    code = PROGRAM.replace("(i64.const 1024)))", "unreachable))")
    begun = await _process(node, bytes(wasmtime.wat2wasm(code)))
    with pytest.raises(GuestError, match="WASM execution error"):
        await node.resolve(begun, await _assigned(node, data="one"))


# aos itself, where its module is at hand.


@pytest.fixture
def aos() -> bytes:
    return shared_module("aos-2-pure-xs.wasm")


ENV = (
    b'{"Process":{"Id":"AOS","Owner":"FOOBAR","Tags":[{"name":"Name","value":"Thomas"},'
    b'{"name":"Authority","value":"FOOBAR"}]}}'
)
STEPS = [
    ("return 1+1", [8737248, 8737416], 10013288, "86dd7630a516c1bd", "60918930e291c860"),
    ("x=5; return x*2", [8764736, 9128464], 9552280, "996596ec34c0721c", "127815cd80663861"),
    ('error("boom")', [9441896, 9178312], 9697000, "883fab6d98817277", "6c8fdfbac0a0547e"),
    (
        "local ok,e=pcall(function() error({a=1}) end); return tostring(ok)",
        *([9346856, 9141968], 9194336, "d43a0a1120951165", "c8e79d1f598ad5fb"),
    ),
    (
        'Send({Target="Foo",Data="Bar",Action="Hi"}); return #ao.outbox.Messages',
        *([9863344, 9822384], 9820624, "aaee98b11a1290e0", "fb384a2f5d9621cb"),
    ),
    (
        "local s=0; for i=1,100000 do s=s+i end return s",
        *([9217888, 9479608], 9113912, "3f118f3fb2647016", "ffe75a339ec488d8"),
    ),
    (
        "return math.random(100000)",
        *([9826048, 9834064], 8765024, "84bb93ba281bb572", "568775a30235e833"),
    ),
    (
        "local t={} for i=1,20000 do t[i]=tostring(i) end BIG=t return #t",
        *([9797584, 9823104], 10356864, "d0947f48d452a9e6", "9c16f803558debf1"),
    ),
]
"""What is evaluated; where message and environment are written, and the reply; hashes of the reply
and of the memory after it."""


async def test_aos_answers_at_the_addresses_that_other_engines_give(node, aos):
    image = {"device": "wasm-64@1.0", "body": aos}
    state = await node.resolve(Message(image), "init")
    access, context = access_of(state), node.context()
    for number, (code, pointers, reply, digest, memory) in enumerate(STEPS, 1):
        message = (
            b'{"From":"FOOBAR","Block-Height":"1","Target":"AOS","Owner":"FOOBAR","Id":"%d",'
            b'"Module":"W","Tags":[{"name":"Action","value":"Eval"}],"Data":%s}'
            % (number, json.dumps(code).encode())
        )
        state, written = await access.write_texts(state, [message, ENV], context)
        assert written == pointers
        call = Message(path="compute", function="handle", parameters=written)
        state = await node.resolve(state, call)
        assert (await _results(node, state))["output"] == [reply]
        answer = await access.read_text(state, reply, context)
        assert hashlib.sha256(answer).hexdigest().startswith(digest)
        snapshot = await node.cache.load_all(await node.resolve(state, "snapshot"))
        assert hashlib.sha256(snapshot["body"]).hexdigest().startswith(memory)


async def test_aos_in_its_stack_sends_and_fails_as_observed(node, aos):
    state = await _process(node, aos)
    code = 'Send({Target="Foo",Data="Bar",Action="Hi"}); return 1+1'
    eval_ = {"action": "Eval", "target": signed_id(state.message("process"))}
    state = await node.resolve(state, await _assigned(node, **eval_, data=code))
    results = await _results(node, state)
    assert (results["data"], results["patches"]) == (b"2", [])
    sent = results["outbox"]["1"]
    expected = {
        **{"target": "Foo", "data": "Bar", "anchor": "0" * 31 + "1", "Action": "Hi"},
        **{"Data-Protocol": "ao", "Variant": "ao.TN.1", "Type": "Message", "Reference": "1"},
        "from-process": signed_id(state.message("process")),
        "from-image": state.message("process").text("image"),
    }
    assert sent.without("tags") == Message(expected)
    assert sorted(results["raw"]) == ["Assignments", "Messages", "Output", "Spawns"]
    failing = await _assigned(node, **eval_, data="error('boom')")
    state = await node.resolve(state.without("results"), failing)
    assert b'[string "aos"]:1: boom' in (await _results(node, state))["data"]


# Messages that come next.


async def test_what_comes_next_and_can_not_be_read_is_no_error_before_its_turn(node):
    state = await _process(node, bytes(wasmtime.wat2wasm(PROGRAM)))
    state = await node.resolve(state, await _assigned(node, data="first"))
    good, later = await _assigned(node, data="second"), await _assigned(node, data="third")
    request = good.with_private(following=[later, Message(path="compute", body=b"no message")])
    found = await _results(node, await node.resolve(state, request))
    assert found == await _results(node, await node.resolve(state, good))
