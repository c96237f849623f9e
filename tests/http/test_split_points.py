"""However TCP cuts the bytes, the same requests are read and the same answers given."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.http.client import request
from tests.http.hostile import CASES, SMUGGLED, Case, chunked, head, post
from tests.http.scripted import Conversation, converse

SHORT = [case for case in CASES if len(case.data) <= 400]

DIALOGUE = (
    b"\r\n"
    + request("/1", "X: y")
    + request("/2", method="POST", body=b"hello\r\n\r\nGET")
    + chunked(b"5;a=b\r\nhello\r\nC\r\n, new world!\r\n0\r\nX: y\r\n\r\n")
    + request("/4", "Expect: 100-continue", method="PUT", body=b"four")
    + request("/5", method="HEAD")
    + b"GET /6 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    + head(b"Connection: upgrade", b"Upgrade: websocket")
    + b"\x81\x00frames"
)


async def cut_everywhere(data: bytes) -> None:
    whole = (await converse(data)).outcome()
    for at in range(1, len(data)):
        assert (await converse(data[:at], data[at:])).outcome() == whole, data[at:]
    bytewise = [data[at : at + 1] for at in range(len(data))]
    assert (await converse(*bytewise)).outcome() == whole


async def test_a_dialogue_cut_anywhere_is_the_same_dialogue() -> None:
    done = await converse(DIALOGUE)
    assert [target for _, target, _ in done.requests] == [b"/1", b"/2", b"/", b"/4", b"/5", b"/6"]
    assert [body for _, _, body in done.requests if body] == [
        b"hello\r\n\r\nGET",
        b"hello, new world!",
        b"four",
    ]
    assert done.answers == [200] * 6
    assert done.handed_over == DIALOGUE[DIALOGUE.index(b"GET / HTTP") :]
    await cut_everywhere(DIALOGUE)


async def test_http2_cut_anywhere_is_handed_over_whole() -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    assert (await converse(preface)).handed_over == preface
    await cut_everywhere(preface)


@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)
async def test_a_hostile_sequence_cut_anywhere_gets_the_same_answer(case: Case) -> None:
    await cut_everywhere(case.data)


PIECES = st.sampled_from(
    [
        *[case.data for case in SHORT],
        SMUGGLED,
        head(),
        post(b"Content-Length: 5", body=b"hello"),
        chunked(b"5\r\nhello\r\n0\r\n\r\n"),
        *[bytes([byte]) for byte in b"\r\n\0 :\t;0,"],
        *[b"\r\n", b"\r\n\r\n", b"GET ", b" HTTP/1.1", b"Content-Length: ", b"chunked", b"Host: a"],
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Pieces of requests in a row, with some bytes put in, taken out and changed."""
    data = bytearray(b"".join(draw(st.lists(PIECES, min_size=1, max_size=5))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.one_of(PIECES, st.binary(max_size=4)))
    return bytes(data)


@settings(max_examples=int(os.environ.get("HYPERBEAM_TRIO_FUZZ", "300")), deadline=None)
@given(data=mutated(), cuts=st.lists(st.integers(0, 3000), max_size=6))
@example(data=DIALOGUE, cuts=[])
def test_rubbish_cut_at_random_gets_one_answer_and_no_crash(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places)]

    async def both() -> tuple[Conversation, Conversation]:
        return await converse(data), await converse(*pieces)

    whole, cut = trio.run(both)
    # Which of several faults is told first may differ.
    assert [status == 200 for status in whole.answers] == [status == 200 for status in cut.answers]
    assert (whole.requests, whole.handed_over) == (cut.requests, cut.handed_over)
    assert len(whole.answers) - len(whole.requests) in (0, 1)
