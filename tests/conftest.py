"""Fixtures and report lines that all tests share."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings

from hyperbeam_trio.testing.node import node, node_url  # noqa: F401 (fixtures)

_VECTORS = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "vectors(file): the case comes from this vector file")
    config.stash[_VECTORS] = Counter()
    # A machine with other work to do is no failure.
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if report.when == "call" and report.passed:
        item.config.stash[_VECTORS].update({m.args[0] for m in item.iter_markers("vectors")})
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    counted = config.stash[_VECTORS]
    if counted:
        terminalreporter.section("vectors")
    for name, number in sorted(counted.items()):
        terminalreporter.write_line(f"vectors: {name}: {number} cases passed")
