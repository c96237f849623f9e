"""`httpsig@1.0`: messages as HTTP headers and bodies, signed (spec/02)."""

from __future__ import annotations

from hyperbeam_trio.codec.httpsig import HTTPSIG
from hyperbeam_trio.devices.codec import CodecDevice


class HttpsigDevice(CodecDevice):
    """Messages as signed HTTP messages; the form of every answer by default."""

    name = "httpsig@1.0"
    codec = HTTPSIG
