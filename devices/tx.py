"""`tx@1.0`: Arweave transactions of the first layer (spec/02 §12)."""

from __future__ import annotations

from hyperbeam_trio.codec.tx import TX
from hyperbeam_trio.devices.codec import CodecDevice


class TxDevice(CodecDevice):
    """Messages as Arweave transactions of the first layer."""

    name = "tx@1.0"
    codec = TX
