"""All hostile sequences."""

from __future__ import annotations

from tests.http.hostile_bodies import CHUNKS, FRAMING, UPGRADE, UPGRADES
from tests.http.hostile_case import SMUGGLED, Answer, Case, chunked, head, post
from tests.http.hostile_heads import FIELDS, LINES

__all__ = ["CASES", "SMUGGLED", "UPGRADE", "Answer", "Case", "chunked", "head", "post"]

CASES = LINES + FIELDS + FRAMING + CHUNKS + UPGRADES
