"""`json@1.0`: messages as JSON (spec/01 §8)."""

from __future__ import annotations

from hyperbeam_trio.codec.json import JSON
from hyperbeam_trio.devices.codec import CodecDevice


class JsonDevice(CodecDevice):
    """Messages as JSON objects; `serialize` gives `application/json`."""

    name = "json@1.0"
    codec = JSON
