"""`structured@1.0`: typed values of messages, and how they are told in text (spec/01 §4)."""

from __future__ import annotations

from hyperbeam_trio.codec.structured import STRUCTURED
from hyperbeam_trio.devices.codec import CodecDevice


class StructuredDevice(CodecDevice):
    """Typed messages and their plain form; its text form is the one of flat paths."""

    name = "structured@1.0"
    codec = STRUCTURED
