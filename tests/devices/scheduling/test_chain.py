"""The chains that tie a slot to those before it, by the published values and the vectors."""

from __future__ import annotations

import pytest

from hyperbeam_trio.devices.scheduling.chain import (
    extend_base,
    extend_chain,
    first_base,
)
from hyperbeam_trio.hashpath import DEFAULT_ALGORITHM
from tests import vectors

PUBLISHED = """
ZCp4pxThMl86HF8_muaCF_DHr8do_aGlSdWjEsyEApE tPt6u82_3DGLZ-fqt0-yQGglPkyMueFhhuGY_3gdR7U
-Pc39l8GR-a4pjOMK5nd3FUYWLMKNy2IMp1qrxRFUVI ELqT_FgCHRMVbRJy8LwNgnD7HG-duNjfOh8ZtLtukHw

uvAgW85WqVu2IeAoYUB0Gv68nm8D7NVY6LinnQG37MA iXeUdGupUa3dDWOWpFTcOTm6H_XajSb5cVtRsAjAcMk
pkEPTy0XtJzoAQDAjwcAdg0Y5ZW-FCLIPuF4rlbOzxQ -mxbHAfaUkiM7SLxIPsrHQdppIcb4r6h9OMIqlTiQ-w
cc0FzrE6vcw5s7IG2Kwac1bfTe55f4MGuMtOnCaF7gs 5q5eyfoiUzamYhkQtqgsFO7jna0G5yj9ciF_z0_3a1U
"""
"""Message ids and chain values of two schedules, by June 2025."""


@pytest.mark.parametrize("schedule", PUBLISHED.strip().split("\n\n"))
def test_the_chain_of_each_slot_covers_all_messages_before_it(schedule):
    previous = None
    for message, expected in map(str.split, schedule.splitlines()):
        assert extend_chain(previous, message) == expected
        previous = expected


def assignments():
    found = vectors.cases("schedule.json", lambda case: "assignment" in case)
    return [(case["message_signed_id"], case["assignment"]["hash-chain"]) for case in found]


@pytest.mark.vectors("schedule.json")
def test_the_chain_of_a_recorded_schedule():
    previous = None
    for message, expected in assignments():
        assert extend_chain(previous, message) == expected
        previous = expected


def test_base_hashpaths_are_those_of_the_states_that_slots_apply_to():
    process = "uvAgW85WqVu2IeAoYUB0Gv68nm8D7NVY6LinnQG37MA"
    first = "Id-ZjVAbY1bFmWlGU87V1PduqNQfNlCW8WcUIyYxmBs"
    second = "QSFFjWIEv4Lw25E7a-Tn-2I_DsMdYDjrL2c-L4OHOT0"
    assert first_base(process) == process
    of_1 = extend_base(process, first)
    assert of_1 == f"{process}/{first}"
    of_2 = extend_base(of_1, second)
    assert of_2 == f"JEq8rbncN9tw-5XODO0tVHz1G-7oxsqkHmeA-qko5jI/{second}"
    left, _, _ = extend_base(of_2, first, DEFAULT_ALGORITHM).partition("/")
    assert left == "YUa_iCoe2X3lVeCp2xnt8YLCDWSmon7hvr06_1s5Sqo"
