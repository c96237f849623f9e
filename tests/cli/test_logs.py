"""The lines that a node logs."""

from __future__ import annotations

import json
import logging
import sys

from hyperbeam_trio.cli.logs import JsonLines


def _logged(error: BaseException | None = None) -> dict[str, str]:
    given = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("a.b", logging.WARNING, __file__, 1, "%s\nat %d", ("x", 7), given)
    (line,) = JsonLines().format(record).splitlines()
    return json.loads(line)


def test_a_line_is_a_json_object():
    told = _logged()
    assert told.pop("time").endswith("+00:00")
    assert told == {"level": "warning", "logger": "a.b", "message": "x\nat 7"}


def test_an_exception_stays_on_its_line():
    try:
        raise ValueError("no such thing")
    except ValueError:
        told = _logged(sys.exc_info()[1])
    assert told["exception"].endswith("ValueError: no such thing")
