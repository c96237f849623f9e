"""A contract suite for devices: subclass `DeviceContract` in a test module and set its fields."""

from __future__ import annotations

from typing import Any, ClassVar

from hyperbeam_trio.device import Device
from hyperbeam_trio.message import Message, Value, same
from hyperbeam_trio.testing.node import running_node


class DeviceContract:
    """What every device keeps.

    `device`: the class. `base`: keys of a base that it works on. `requests`: requests that it
    answers without error. `plain_keys`: whether keys that it does not know read the message.
    """

    device: ClassVar[type[Device]]
    base: ClassVar[dict[str, Any]] = {}
    requests: ClassVar[list[dict[str, Any]]] = []
    plain_keys: ClassVar[bool] = True

    def _base(self) -> Message:
        return Message({**self.base, "device": self.device.name, "contract-probe": "7"})

    def _devices(self) -> dict[str, type[Device]]:
        return {self.device.name: self.device}

    def test_has_a_name_with_a_version_and_says_what_it_is_for(self) -> None:
        name, at, version = self.device.name.partition("@")
        assert name
        assert at
        assert version
        assert (self.device.__doc__ or "").strip()

    def test_documents_every_key(self) -> None:
        for key in self.device.key_names():
            method = getattr(self.device, self.device._functions[key][0])
            assert (method.__doc__ or "").strip(), f"{self.device.name}/{key} has no docstring"

    async def test_answers_its_requests_alike_twice(self) -> None:
        for request in self.requests:
            first = await self._ask(request)
            assert same(first, await self._ask(request)), request

    async def test_leaves_base_and_request_as_they_were(self) -> None:
        async with running_node(devices=self._devices()) as node:
            for keys in self.requests:
                base, request = self._base(), Message(keys)
                before = dict(base), dict(request)
                await node.resolve(base, request)
                assert (dict(base), dict(request)) == before

    async def test_reads_keys_of_the_message_that_it_does_not_know(self) -> None:
        if not self.plain_keys:
            return
        assert await self._ask({"path": "contract-probe"}) == b"7"

    async def test_never_shows_private_keys(self) -> None:
        async with running_node(devices=self._devices()) as node:
            base = self._base().set({"private-probe": "7"})
            found = await node.context().get(base, "private-probe")
        assert found != b"7"

    async def _ask(self, request: dict[str, Any]) -> Value:
        async with running_node(devices=self._devices()) as node:
            return await node.resolve(self._base(), Message(request))
