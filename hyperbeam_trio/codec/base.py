"""What a codec is: a form that messages take outside of the node (spec/01 §3, §11)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hyperbeam_trio.message import Message


@dataclass(frozen=True, slots=True)
class Encoded:
    """Headers in lower case, sorted by name, and the body; `None` where there is no body."""

    headers: list[tuple[str, bytes]]
    body: bytes | None


class Codec(ABC):
    """A form of messages. Subclasses are stateless, and pure: equal messages give equal bytes.

    `name` is the device of the codec, `content_type` the MIME type of its bytes, if there is one.
    """

    name: ClassVar[str]
    content_type: ClassVar[str | None] = None

    @abstractmethod
    def to_bytes(self, message: Message, *, bundle: bool) -> bytes:
        """The message as bytes; with `bundle` nested messages lie inside, else they are linked.

        Raises `BadRequest` for values that this form can't carry, `NotAcceptable` if it has no
        bytes at all.
        """

    def to_pieces(self, message: Message, *, bundle: bool) -> Sequence[bytes]:
        """The same bytes in pieces, of which one may be an `Elsewhere` of the message."""
        return [self.to_bytes(message, bundle=bundle)]

    @abstractmethod
    def from_bytes(self, data: bytes) -> Message:
        """The message that the bytes hold, with its commitments, none of them checked.

        Raises `BadRequest` or `TooLarge`, whatever the bytes are.
        """

    def headers(self) -> list[tuple[str, bytes]]:
        """What HTTP says of a body in this form."""
        headers = [("codec-device", self.name.encode())]
        if self.content_type is not None:
            headers.append(("content-type", self.content_type.encode()))
        return headers

    def encode(self, message: Message, *, bundle: bool) -> Encoded:
        """The message as headers and body of HTTP."""
        return Encoded(self.headers(), self.to_bytes(message, bundle=bundle))

    def decode(self, headers: Iterable[tuple[str, bytes]], body: bytes | None = None) -> Message:
        """The message of headers and body; all but httpsig look at the body alone."""
        return self.from_bytes(body or b"")
