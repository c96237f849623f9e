"""`ans104@1.0`: ANS-104 data items, signed, and bundles of them (spec/02 §11)."""

from __future__ import annotations

from hyperbeam_trio.codec.ans104 import ANS104
from hyperbeam_trio.devices.codec import CodecDevice


class Ans104Device(CodecDevice):
    """Messages as ANS-104 data items, signed, and bundles of them."""

    name = "ans104@1.0"
    codec = ANS104
