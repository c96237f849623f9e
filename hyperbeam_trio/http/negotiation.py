"""Which codec a request is in, and which one its answer goes out in (spec/01 §11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperbeam_trio.errors import NotAcceptable, NotFound
from hyperbeam_trio.message import Message

if TYPE_CHECKING:
    from hyperbeam_trio.codec.base import Codec
    from hyperbeam_trio.device import DeviceTable


class Negotiator:
    """Maps MIME types and codec names to the codecs of installed devices.

    `default` is the codec device of everything that asks for nothing in particular.
    """

    def __init__(self, devices: DeviceTable, default: str) -> None:
        self._devices = devices
        self._default = default
        self._names: dict[str, str] = {}

    @property
    def default(self) -> str:
        """Name of the default codec's device."""
        return self._default

    def name_of(self, text: str) -> str:
        """The codec device that a MIME type or codec name stands for (spec/01 §11.1)."""
        found = self._names.get(text)
        if found is None:
            found = self._find(text.strip())
            if len(self._names) < 1024:
                self._names[text] = found
        return found

    def codec(self, name: str) -> Codec:
        """The codec of a device; `NotAcceptable` (406) for a device that is no codec."""
        codec = self._devices.get(name).codec
        if codec is None:
            raise NotAcceptable(f"{name} is not an encoding that an answer can be sent in.")
        return codec

    def reply_codec(self, request: Message, answer: Message) -> str:
        """The device of the answer's codec: what is required, asked for, or fits the answer.

        In this order: `require-codec`; `accept-codec`; httpsig where the answer brings its own
        `content-type`; `accept`; the default (spec/07 §3.4).
        """
        for wish in ("require-codec", "accept-codec"):
            text = request.text(wish, None)
            if text is not None:
                return self.name_of(text)
        if "content-type" in answer:
            return self._default
        return self.name_of(request.text("accept", "*/*"))

    def _find(self, text: str) -> str:
        kind, slash, name = text.partition("/")
        if slash and kind == "application":
            return self._loadable(name if "@" in name else f"{name}@1.0")
        if slash and kind == "device":
            return self._loadable(name)
        return self._loadable(text) if "@" in text else self._default

    def _loadable(self, name: str) -> str:
        try:
            return name if self._devices.get(name).codec is not None else self._default
        except NotFound:
            return self._default
