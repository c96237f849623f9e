"""Hash chains of schedules that others wrote (spec/05 §4.5)."""

from __future__ import annotations

from hyperbeam_trio.cli.schedule_check import continues

FIRST = "tPt6u82_3DGLZ-fqt0-yQGglPkyMueFhhuGY_3gdR7U"
SECOND = "ELqT_FgCHRMVbRJy8LwNgnD7HG-duNjfOh8ZtLtukHw"
MESSAGES = (
    "ZCp4pxThMl86HF8_muaCF_DHr8do_aGlSdWjEsyEApE",
    "-Pc39l8GR-a4pjOMK5nd3FUYWLMKNy2IMp1qrxRFUVI",
)
"""A schedule of June 2025, and the values of its chain."""

BEFORE, MESSAGE, AFTER_A_RESTART = (
    "GQA1seq76WcKYYx-fS9bkh-J8RNiVJWGvIKrTz8J2-E",
    "CU_hR68DsPVsc_TK91UgcTTRkHMAdd5x9lHd4EeV8VA",
    "04FvPt5-e25puxXxGJX4ecMAq2FPMSC8RJnXZGxCTj4",
)


def test_a_chain_goes_on_from_message_to_message() -> None:
    assert continues(None, MESSAGES[0], FIRST)
    assert continues(FIRST, MESSAGES[1], SECOND)
    assert not continues(None, MESSAGES[1], SECOND)
    assert not continues(FIRST, MESSAGES[0], SECOND)


def test_a_chain_that_went_on_as_text_after_a_restart_holds() -> None:
    assert continues(BEFORE, MESSAGE, AFTER_A_RESTART)


def test_a_chain_that_begins_with_no_id_does_not_hold() -> None:
    assert not continues("too short", MESSAGE, AFTER_A_RESTART)
