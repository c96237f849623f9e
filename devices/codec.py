"""What every codec answers as a device (spec/01 §3, §8, spec/07 §21)."""

from __future__ import annotations

from hyperbeam_trio.codec.base import Codec
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import HyperbeamError
from hyperbeam_trio.message import Message, Value, describe


class CodecDevice(Device):
    """A codec as a device: messages to bytes and back; other keys are those of a message."""

    @key
    async def serialize(self, base: Message, request: Message, context: Context) -> Value:
        """The base as `body`, with the codec's `content-type`, nested messages inside."""
        return _with_type(self, await self._bytes(base, context))

    @key
    async def deserialize(self, base: Message, request: Message, context: Context) -> Value:
        """The message in the base's `body`, or in the key that `target` names."""
        target = request.text("target", "body")
        payload = await context.view(base, target)
        if not isinstance(payload, bytes):
            raise HyperbeamError(
                f"{self.name} payload not found in the base message. Searched for: {target}",
                status=404,
            )
        return self._codec().from_bytes(payload)

    @key
    async def to(self, base: Message, request: Message, context: Context) -> Value:
        """The base in this codec, as a binary."""
        return await self._bytes(base, context)

    @key("from")
    async def from_(self, base: Message, request: Message, context: Context) -> Value:
        """`deserialize`, under its short name."""
        return await self.deserialize(base, request, context)

    @key("content-type")
    async def content_type(self, base: Message, request: Message, context: Context) -> Value:
        """The MIME type of the codec's bytes; the base's own key where the codec has none."""
        mime = self._codec().content_type
        own = base.get("content-type")
        return mime.encode() if mime is not None else own

    def _codec(self) -> Codec:
        if self.codec is None:
            raise HyperbeamError(f"{self.name} has no codec.")
        return self.codec

    async def _bytes(self, base: Message, context: Context) -> bytes:
        loaded = await context.load_all(base)
        if not isinstance(loaded, Message):
            raise HyperbeamError(f"{self.name} can't serialize {describe(loaded)}.", status=400)
        return self._codec().to_bytes(loaded, bundle=True)


def _with_type(device: CodecDevice, body: bytes) -> Message:
    answer: dict[str, Value] = {"body": body}
    if device._codec().content_type is not None:
        answer["content-type"] = str(device._codec().content_type).encode()
    return Message.of(answer)
