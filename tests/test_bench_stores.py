"""The README's table of stores is what `python -m bench.stores --readme` can renew."""

from __future__ import annotations

from pathlib import Path

from bench.stores import FIGURES, README_ROWS, updated

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_every_row_is_measured_and_nothing_else_is_touched() -> None:
    figures = {name: dict.fromkeys(FIGURES, 123_456.0) for name in README_ROWS.values()}
    renewed = updated(README, figures)
    changed = [
        (old, new)
        for old, new in zip(README.split("\n"), renewed.split("\n"), strict=True)
        if old != new
    ]
    assert len(changed) == len(README_ROWS)
    for old, new in changed:
        assert new.endswith(" | " + " | ".join(["120,000"] * len(FIGURES)) + " |")
        assert old.split(" | ")[:2] == new.split(" | ")[:2]
    assert updated(renewed, {}) == renewed
