"""`flat@1.0`: one path and value a line (spec/01 §7)."""

from __future__ import annotations

from hyperbeam_trio.codec.flat import FLAT
from hyperbeam_trio.devices.codec import CodecDevice


class FlatDevice(CodecDevice):
    """Messages as lines of `path: value`."""

    name = "flat@1.0"
    codec = FLAT
