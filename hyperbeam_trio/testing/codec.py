"""The contract of codecs as tests: run your own codec through them.

    class TestMyCodec(CodecContract):
        codec = MY_CODEC
        binaries = TEXTS

Needs pytest and hypothesis.
"""

from __future__ import annotations

from typing import ClassVar

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hyperbeam_trio.codec.base import Codec
from hyperbeam_trio.codec.ids import link_id, unsigned_id
from hyperbeam_trio.errors import BadRequest, TooLarge
from hyperbeam_trio.message import Link, Message, Value
from hyperbeam_trio.testing.messages import BINARIES, ODD_KEYS, messages

MOST_GROWTH = 64
"""How many times larger than its bytes a message may become, counted in values and their bytes."""

_SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)


def linked(message: Message) -> Message:
    """The message with everything nested replaced by a link to it."""
    return Message.of({key: _linked(value) for key, value in message.items()})


def _linked(value: Value) -> Value:
    return Link(link_id(value)) if isinstance(value, Message | list) else value


def weight(value: Value) -> int:
    """A measure of what a value takes: one for each value, and the bytes of keys and binaries."""
    if isinstance(value, bytes):
        return 1 + len(value)
    if isinstance(value, list):
        return 1 + sum(map(weight, value))
    if isinstance(value, Message):
        inside = sum(len(key) + weight(item) for key, item in value.items())
        commitments = sum(weight(c.to_message()) for c in value.commitments.values())
        return 1 + inside + commitments
    return 1


class CodecContract:
    """Subclass this, name the subclass `Test…`, and give it the codec."""

    codec: ClassVar[Codec]
    binaries: ClassVar[st.SearchStrategy[bytes]] = BINARIES
    keys: ClassVar[st.SearchStrategy[str]] = ODD_KEYS
    links: ClassVar[bool] = True
    """Whether the codec writes links, so that it can write without what is nested."""

    def messages(self) -> st.SearchStrategy[Message]:
        """The messages that the codec has to carry without a loss."""
        return messages(self.binaries, self.keys)

    @_SETTINGS
    @given(data=st.data())
    def test_a_message_comes_back_as_it_went_out(self, data: st.DataObject) -> None:
        message = data.draw(self.messages())
        sent = self.codec.encode(message, bundle=True)
        back = self.codec.decode(sent.headers, sent.body)
        assert back == message
        assert unsigned_id(back) == unsigned_id(message)

    @_SETTINGS
    @given(data=st.data())
    def test_without_a_bundle_it_comes_back_with_links(self, data: st.DataObject) -> None:
        assume(self.links)
        message = data.draw(self.messages())
        sent = self.codec.encode(message, bundle=False)
        back = self.codec.decode(sent.headers, sent.body)
        assert back == linked(message)
        assert unsigned_id(back) == unsigned_id(message)

    @_SETTINGS
    @given(data=st.data())
    def test_equal_messages_give_equal_bytes(self, data: st.DataObject) -> None:
        message = data.draw(self.messages())
        keys = data.draw(st.permutations(list(message)))
        other = Message.of({key: message[key] for key in keys})
        assert self._bytes(message) == self._bytes(other)

    @_SETTINGS
    @given(data=st.data())
    def test_private_keys_stay_at_home(self, data: st.DataObject) -> None:
        message = data.draw(self.messages())
        private = message.set({"priv": {"key": "secret!"}, "private-x": "secret!"})
        assert self._bytes(private) == self._bytes(message)

    @_SETTINGS
    @given(data=st.data())
    def test_damaged_bytes_are_refused_or_read_but_nothing_else(self, data: st.DataObject) -> None:
        damaged = bytearray(self._bytes(data.draw(self.messages())))
        for _ in range(data.draw(st.integers(1, 4))):
            self._damage(damaged, data)
        self._read(bytes(damaged))

    @_SETTINGS
    @given(junk=st.binary(max_size=400))
    def test_junk_is_refused_or_read_but_nothing_else(self, junk: bytes) -> None:
        self._read(junk)

    def _bytes(self, message: Message) -> bytes:
        return self.codec.to_bytes(message, bundle=True)

    def _read(self, data: bytes) -> None:
        try:
            message = self.codec.from_bytes(data)
        except (BadRequest, TooLarge):
            pass
        else:
            assert weight(message) <= MOST_GROWTH * (len(data) + 1)

    @staticmethod
    def _damage(damaged: bytearray, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(damaged)))
        length = data.draw(st.integers(0, 8))
        damaged[place : place + length] = data.draw(st.binary(max_size=8))
