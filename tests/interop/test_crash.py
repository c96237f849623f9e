"""Real nodes that are killed at random moments keep what they acknowledged."""

from __future__ import annotations

import pytest

from tests.support.crash import Acknowledged, Broken, Crashes, run


@pytest.mark.parametrize(("scheme", "kills"), [("lmdb", 20), ("fs", 5)])
async def test_a_killed_node_keeps_every_slot_that_it_acknowledged(tmp_path, scheme, kills):
    crashes = await run(scheme, kills, tmp_path)
    assert crashes.kills == kills
    assert crashes.while_starting == kills // 5
    assert len(crashes.acknowledged) > kills
    await _finds_what_is_not_there(crashes)


async def _finds_what_is_not_there(crashes: Crashes) -> None:
    told = crashes.acknowledged[-1]
    crashes.acknowledged.append(Acknowledged(told.message, told.slot + 1000, told.assignment))
    with pytest.raises(Broken, match="is gone"):
        await crashes.check()
    crashes.acknowledged[-1] = Acknowledged("A" * 43, told.slot, told.assignment)
    with pytest.raises(Broken, match="was acknowledged"):
        await crashes.check()
