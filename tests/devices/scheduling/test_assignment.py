"""Assignments: the bytes that the codec would sign, with every field, by every signer."""

from __future__ import annotations

import pytest
import trio

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.ids import fresh_id, signed_id
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.crypto.wallet import RsaWallet
from hyperbeam_trio.devices.scheduling.assignment import Notary, Tip, path_of
from hyperbeam_trio.devices.scheduling.chain import extend_chain
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message
from hyperbeam_trio.service.timestamp import BlockTime
from tests.devices.scheduling.world import OTHER, USER, ping, signed

PROCESS = "l9ZzVYIXoWenmAjgzE2d5BUOxgm4MnyYk6uenVRX38E"
BLOCK = BlockTime(1_700_000_000, 1_234_567, "B" * 64)
SLOT_3 = Tip(3, "JmUXFjAf1lcy6ijx6UhfIATlYq6T7y0BMvz82d_zNhc")


def assigned(notary: Notary, message: Message, tip: Tip = SLOT_3, path: bytes = b"compute"):
    draft = notary.draft(message, path, tip, BLOCK, 1_795_366_337_682)
    return notary.finish(draft, notary.sign(draft))


async def test_every_field():
    message = await ping(PROCESS, action="Ping")
    assignment = assigned(Notary(PROCESS, [USER]), message)
    assert dict(assignment) == {
        "path": b"compute",
        "data-protocol": b"ao",
        "variant": b"ao.N.1",
        "type": b"Assignment",
        "process": PROCESS.encode(),
        "epoch": b"0",
        "slot": 4,
        "block-height": 1_234_567,
        "block-hash": b"B" * 64,
        "block-timestamp": 1_700_000_000,
        "timestamp": 1_795_366_337_682,
        "hash-chain": extend_chain(SLOT_3.chain, signed_id(message)).encode(),
        "body": message,
    }
    body = assignment.message("body")
    assert body.commitments == message.commitments


@pytest.mark.parametrize("with_base", [False, True])
async def test_what_is_signed_is_what_the_codec_signs(with_base):
    notary = Notary(PROCESS, [USER], with_base=with_base)
    for message in (await ping(PROCESS, data="x"), Message(unsigned="1")):
        assignment = assigned(notary, message, path=b"some/path?x=1")
        plain = assignment.uncommitted()
        by_codec = await commit_signed(plain, USER, limiter=trio.CapacityLimiter(1))
        assert by_codec.commitments == assignment.commitments
        for id, commitment in assignment.commitments.items():
            expected = by_codec.commitments[id].evidence
            assert commitment.evidence is not None
            assert expected is not None
            assert commitment.evidence.base == expected.base


async def test_its_commitments_hold_with_and_without_the_bytes_at_hand():
    assignment = assigned(Notary(PROCESS, [USER]), await ping(PROCESS))
    assert verify_message(assignment, commitment_ids="all")
    without = [c.with_evidence(None) for c in assignment.commitments.values()]  # type: ignore[arg-type]
    assert verify_message(assignment.with_commitments(without), commitment_ids="all")
    changed = assignment.set(slot=5).with_commitments(assignment.commitments.values())
    assert not verify_message(changed, commitment_ids="all")


async def test_its_unsigned_id_is_known_without_computing():
    assignment = assigned(Notary(PROCESS, [USER]), await ping(PROCESS))
    assert assignment._id == fresh_id(Message.of(dict(assignment)))


async def test_several_identities_sign_the_same_assignment():
    rsa = RsaWallet.generate(2048)
    notary = Notary(PROCESS, [USER, OTHER, rsa])
    assignment = assigned(notary, await ping(PROCESS))
    assert sorted(assignment.signers) == sorted([USER.address, OTHER.address, rsa.address])
    assert notary.addresses == [USER.address, OTHER.address, rsa.address]
    assert notary.slow
    assert verify_message(assignment, commitment_ids="all")


async def test_the_first_slot_begins_the_chain():
    message = await ping(PROCESS)
    assignment = assigned(Notary(PROCESS, [USER]), message, Tip())
    assert assignment.int("slot") == 0
    assert assignment.text("hash-chain") == extend_chain(None, signed_id(message))


async def test_the_end_of_a_schedule_is_read_from_its_newest_assignment():
    notary = Notary(PROCESS, [USER], with_base=True)
    first = assigned(notary, await ping(PROCESS), Tip())
    tip = Tip.of(first)
    assert tip == Tip(0, first.text("hash-chain"), PROCESS, signed_id(first))
    second = assigned(notary, await ping(PROCESS), tip)
    assert second.text("base-hashpath") == f"{PROCESS}/{signed_id(first)}"


async def test_base_hashpath_is_absent_unless_asked_for():
    assert "base-hashpath" not in assigned(Notary(PROCESS, [USER]), await ping(PROCESS))


def test_nobody_can_not_sign():
    with pytest.raises(BadRequest, match="at least one wallet"):
        Notary(PROCESS, [])


@pytest.mark.parametrize(
    ("path", "called"), [("/now", b"now"), ("a/b?c", b"a/b?c"), ("/", b"compute"), ("", b"compute")]
)
async def test_a_message_chooses_its_key_by_its_own_path(path, called):
    assert path_of(await signed(Message(path=path))) == called


async def test_without_a_path_a_message_calls_compute():
    assert path_of(Message(action="Ping")) == b"compute"


@pytest.mark.parametrize("path", ["a\nb", "x" * 1025, "\x7f"])
def test_a_path_that_fits_in_no_header_is_refused(path):
    with pytest.raises(BadRequest, match="own path"):
        path_of(Message(path=path))
