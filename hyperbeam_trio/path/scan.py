"""Cutting path text where neither parentheses nor quotes protect it, and decoding it (spec/03 §14).

Text is bytes here, so that values need no encoding and offsets count what the client sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from hyperbeam_trio.errors import PathError

_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_QUOTED: Final = rb'"(?:[^"\\]|\\.)*"?'
_WHOLE_QUOTED: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPED_QUOTE: Final = re.compile(rb'(\\)?"')
_SHOWN = 60


class Fault(Exception):
    """A mistake at an offset of decoded text; whoever knows the raw text makes it a `PathError`."""

    def __init__(self, text: str, part: bytes, at: int) -> None:
        super().__init__(text)
        self.text = text
        self.part = part
        self.at = at

    def error(self, at: int) -> PathError:
        """The error for the caller, with the offset in what the caller sent."""
        part = self.part.decode("utf-8", "backslashreplace")
        shown = part if len(part) <= _SHOWN else part[:_SHOWN] + "…"
        return PathError(
            f"{self.text}: {shown!r} at offset {at} of the path.",
            details={"path": shown, "at": at},
        )


class Separators:
    """Bytes to cut at.

    Inside `(…)`, nesting counted, and inside `"…"` nothing is cut. An unmatched `)` is literal, an
    unclosed `(` or `"` protects to the end, and `\\x` in quotes does not end them.
    """

    def __init__(self, marks: bytes) -> None:
        escaped = re.escape(marks)
        self._mark = marks if len(marks) == 1 else None
        self._plain = re.compile(b"[" + escaped + b"]")
        self._aware = re.compile(_QUOTED + b"|[()" + escaped + b"]", re.DOTALL)

    def first(self, text: bytes) -> int:
        """The offset of the first mark that cuts, or the length of `text`."""
        if b"(" in text or b'"' in text:
            return next(self._positions(text), len(text))
        found = self._plain.search(text)
        return found.start() if found else len(text)

    def split(self, text: bytes, at: int) -> list[tuple[int, bytes]]:
        """The parts of `text`, empty ones left out, with their offsets counted from `at`."""
        if self._mark is not None and b"(" not in text and b'"' not in text:
            return _with_offsets(text.split(self._mark), at)
        starts = [0, *(position + 1 for position in self._positions(text))]
        ends = [start - 1 for start in starts[1:]] + [len(text)]
        pairs = zip(starts, ends, strict=True)
        return [(at + start, text[start:end]) for start, end in pairs if start < end]

    def _positions(self, text: bytes) -> Iterator[int]:
        depth = 0
        for found in self._aware.finditer(text):
            mark = text[found.start()]
            if mark == 0x28:
                depth += 1
            elif mark == 0x29:
                depth -= depth > 0
            elif mark != 0x22 and depth == 0:
                yield found.start()


def _with_offsets(parts: list[bytes], at: int) -> list[tuple[int, bytes]]:
    result = []
    for part in parts:
        if part:
            result.append((at, part))
        at += len(part) + 1
    return result


def percent_decode(text: bytes, at: int) -> bytes:
    """`text` with every `%XX` replaced; `+` stays. A broken escape is a `Fault`."""
    if b"%" not in text:
        return text
    if bad := _BAD_ESCAPE.search(text):
        start = bad.start()
        raise Fault("A '%' needs two hex digits", text[start : start + 3], at + start)
    return _ESCAPE.sub(lambda escape: bytes((int(escape[1], 16),)), text)


def form_decode(text: bytes, at: int) -> bytes:
    """`text` as in a query: `+` is a space, then `%XX`."""
    return percent_decode(text.replace(b"+", b" "), at)


def raw_offset(raw: bytes, at: int) -> int:
    """Where offset `at` of the percent-decoded text lies in `raw`."""
    for escape in _ESCAPE.finditer(raw):
        if escape.start() >= at:
            break
        at += 2
    return at


def unquote(text: bytes) -> bytes:
    """`text` without its outer quotes if they are a pair of each other (spec/03 §14.7 b)."""
    if text[:1] == b'"' and _WHOLE_QUOTED.fullmatch(text):
        return text[1:-1]
    return text


def unescape_quotes(text: bytes) -> bytes:
    """The value of a typed key: a quote written as `\\"` stays, any other goes (spec/03 §14.3)."""
    return _ESCAPED_QUOTE.sub(lambda quote: b'"' if quote[1] else b"", text)
