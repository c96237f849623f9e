"""Fields of data items and transactions: their limits, and the error that names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from hyperbeam_trio.errors import BadRequest

Tag: TypeAlias = tuple[bytes, bytes]


class InvalidField(BadRequest):
    """A field of an ANS-104 item, a bundle or a transaction that is out of its range.

    `details["field"]` names it; `details["limit"]` is the limit, where there is one.
    """

    def __init__(self, field: str, problem: str, limit: int | None = None) -> None:
        details: dict[str, str | int] = {"reason": "invalid_field", "field": field}
        if limit is not None:
            details["limit"] = limit
        super().__init__(f"{field}: {problem}", details=details)
        self.field = field


@dataclass(frozen=True, slots=True)
class TagLimits:
    """How many tags there may be, and how many bytes a name and a value (spec/02 §11.1)."""

    count: int = 128
    name: int = 1024
    value: int = 3072

    @property
    def encoded(self) -> int:
        """The most bytes that an Avro encoding within these limits can take."""
        overhead_per_tag = 40  # two lengths, and a block of its own with count and size
        return self.count * (self.name + self.value + overhead_per_tag) + 10

    def check(self, tags: Sequence[Tag]) -> None:
        """Raise `InvalidField` for the first tag that is over a limit, or has no name."""
        self.check_count(len(tags))
        for place, (name, value) in enumerate(tags, 1):
            self.check_tag(place, name, value)

    def check_count(self, count: int) -> None:
        """Raise `InvalidField` if `count` tags are too many."""
        if count > self.count:
            raise InvalidField("tags", f"{count} of them, at most {self.count}", self.count)

    def check_encoded(self, count: int, size: int) -> None:
        """Raise `InvalidField` if `count` tags, or their `size` in bytes, are too many."""
        self.check_count(count)
        if size > self.encoded:
            raise InvalidField("tags", f"{size} bytes, at most {self.encoded}", self.encoded)

    def check_tag(self, place: int, name: bytes, value: bytes) -> None:
        """Raise `InvalidField` if the tag at `place` (from 1) is over a limit."""
        if not name:
            raise InvalidField(f"tag {place} name", "is empty")
        if len(name) > self.name:
            self._refuse(f"tag {place} name", name, self.name)
        if len(value) > self.value:
            self._refuse(f"tag {place} value", value, self.value)

    @staticmethod
    def _refuse(field: str, content: bytes, limit: int) -> None:
        raise InvalidField(field, f"{len(content)} bytes, at most {limit}", limit)


DEFAULT_TAG_LIMITS: Final = TagLimits()
