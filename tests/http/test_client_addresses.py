"""Whom the HTTP client refuses to ask."""

import pytest
import trio
import trio.testing

from hyperbeam_trio.errors import Forbidden
from hyperbeam_trio.http.client import ClientSettings, HttpClient
from hyperbeam_trio.http.pool import Unreachable
from tests.http.answering import Log, answer
from tests.http.servers import Names, scripted


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.1", "0.0.0.0", "0"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]"),
        *("[fd00::1]", "[fe80::1]", "10.0.0.1", "169.254.169.254", "192.168.0.1", "localhost"),
    ],
)
async def test_nobody_is_sent_to_private_addresses(host):
    log = Log(answer(b"secret"))
    async with scripted(log) as port, HttpClient() as client:
        with pytest.raises(Forbidden):
            await client.request("GET", f"http://{host}:{port}/")
    assert log.requests == []


async def test_a_name_that_means_a_private_address_is_refused():
    trio.socket.set_custom_hostname_resolver(Names({"evil.example": ["127.0.0.1"]}))
    log = Log(answer(b"secret"))
    async with scripted(log) as port, HttpClient() as client:
        with pytest.raises(Forbidden, match=r"evil\.example"):
            await client.request("GET", f"http://evil.example:{port}/")
    assert log.requests == []


async def test_the_address_that_was_judged_is_the_one_that_is_asked(clock):
    names = Names({"evil.example": [["192.0.2.1"], ["127.0.0.1"]]})
    trio.socket.set_custom_hostname_resolver(names)
    log = Log(answer(b"secret"))
    settings = ClientSettings(allowed=("192.0.2.1",), connect=1)
    async with scripted(log) as port, HttpClient(settings) as client:
        # The first meaning is allowed; the second is what a rebinding name would say next.
        with pytest.raises(Unreachable):
            await client.request("GET", f"http://evil.example:{port}/")
    assert log.requests == []
    assert names.asked == ["evil.example"]


async def test_the_name_is_what_the_server_hears():
    trio.socket.set_custom_hostname_resolver(Names({"node.example": ["127.0.0.1"]}))
    log = Log(answer(b"ok"))
    settings = ClientSettings(allowed=("node.example",))
    async with scripted(log) as port, HttpClient(settings) as client:
        await client.request("GET", f"http://node.example:{port}/")
    assert log.requests[0][0][1] == f"host: node.example:{port}"


async def test_a_connection_that_was_allowed_once_serves_nobody_else():
    log = Log(answer(b"ok"), answer(b"secret"))
    async with scripted(log) as port, HttpClient() as client:
        await client.request("GET", f"http://127.0.0.1:{port}/", allow_private=True)
        assert client.statistics().idle == 1
        with pytest.raises(Forbidden):
            await client.request("GET", f"http://127.0.0.1:{port}/")
    assert len(log.requests) == 1


async def test_other_addresses_of_a_name_are_tried(clock):
    trio.socket.set_custom_hostname_resolver(Names({"a.example": ["192.0.2.1", "127.0.0.1"]}))
    log = Log(answer(b"ok"))
    async with scripted(log) as port, HttpClient(ClientSettings(allowed=("all",))) as client:
        assert (await client.request("GET", f"http://a.example:{port}/")).body == b"ok"
