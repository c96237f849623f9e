"""What a node tells people while it runs: lines of text, or one JSON object a line."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import orjson

_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def configure_logs(level: str, form: str) -> None:
    """Log to the standard error from `level` on, as `text` or `json`."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class JsonLines(logging.Formatter):
    """`time` (RFC 3339, UTC), `level`, `logger`, `message`, and `exception` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(told).decode()
