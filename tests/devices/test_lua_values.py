"""Messages on their way into a Lua call and out of it again (spec/06 §5.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.devices.lua_values import Crossing, Shown
from hyperbeam_trio.devices.lua_vm import UnfitValue
from hyperbeam_trio.message import Atom, Link, Message

WALLET = Ed25519Wallet(bytes(32))


async def _signed(**keys) -> Message:
    return await commit_signed(Message(keys), WALLET, limiter=trio.CapacityLimiter(1))


async def test_commitments_show_who_signed_and_alg_for_type():
    message = await _signed(a="1", list=["x"])
    shown = Crossing().into(message)["commitments"]
    assert shown.keys() == message.commitments.keys()
    for id, commitment in message.commitments.items():
        fields = Crossing().into(commitment.to_message())
        assert shown[id] == {**fields, "alg": commitment.type.encode()}


async def test_a_commitment_with_further_fields_shows_them():
    message = await _signed(a="1")
    tagged = message.with_commitments(
        replace(c, extra={"tag": b"t"}) for c in message.commitments.values()
    )
    entries = Crossing().into(tagged)["commitments"]
    assert [entry["tag"] for entry in entries.values()] == [b"t"] * len(entries)


async def test_what_is_shown_again_is_the_same_and_comes_back_as_it_was():
    message = await _signed(a="1", empty=[])
    shown = Shown.of(message)
    crossing = Crossing(shown)
    assert crossing.into(Message.of({"process": message})) == {"process": shown.table}
    assert shown.table == Crossing().into(message)
    assert crossing.out(dict(shown.table)) is message


async def test_what_is_shown_again_loses_its_signature_with_its_values():
    message = await _signed(a="1")
    crossing = Crossing(Shown.of(message))
    table = crossing.into(message)
    assert crossing.out({**table, "b": b"2"}).signers == [WALLET.address]
    assert crossing.out({**table, "a": b"2"}).signers == []


def test_plain_values_go_in_as_they_are_and_private_keys_do_not():
    message = Message.of({"1": b"a", "priv-x": b"p", "atom": Atom("ok"), "n": None, "t": True})
    assert Crossing().into(message) == {"1": b"a", "atom": b"ok", "n": None, "t": True}
    assert Crossing().into([Message.of({"1": b"a"}), []]) == [[b"a"], {}]


def test_a_link_does_not_go_in():
    with pytest.raises(UnfitValue):
        Crossing().into([Link("x" * 43)])
