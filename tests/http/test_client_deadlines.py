"""When the HTTP client gives up, and what it leaves behind."""

import socket

import pytest
import trio
import trio.testing

from hyperbeam_trio.errors import DeadlineExceeded
from hyperbeam_trio.http.client import ClientSettings, HttpClient
from hyperbeam_trio.http.pool import Unreachable
from tests.http.answering import HERE, Log, answer, closed_port, silent
from tests.http.client import RawClient
from tests.http.servers import scripted


async def test_the_whole_must_be_over_in_time(clock):
    async with scripted(silent) as port, HttpClient(HERE) as client:
        with pytest.raises(DeadlineExceeded, match="within 7 s"):
            await client.request("GET", f"http://127.0.0.1:{port}/", deadline=7)
        assert client.statistics().open == 0


async def test_repetitions_end_with_the_time(clock):
    settings = ClientSettings(retries=100, retry_doubles=False, allowed=("all",))
    begun = trio.current_time()
    async with HttpClient(settings) as client:
        with pytest.raises(DeadlineExceeded):
            await client.request("GET", f"http://127.0.0.1:{closed_port()}/", deadline=10.5)
    assert round(trio.current_time() - begun, 1) == 10.5


async def test_silence_may_be_limited(clock):
    settings = ClientSettings(silence=3, allowed=("all",))
    async with scripted(silent) as port, HttpClient(settings) as client:
        with pytest.raises(DeadlineExceeded, match="no byte in 3 s"):
            await client.request("GET", f"http://127.0.0.1:{port}/")


async def test_a_server_that_takes_nothing_is_given_up(clock):
    async def deaf(peer: RawClient) -> None:
        await trio.sleep_forever()

    async with scripted(deaf) as port, HttpClient(HERE) as client:
        with pytest.raises(DeadlineExceeded, match="not taken"):
            await client.request("POST", f"http://127.0.0.1:{port}/", body=bytes(32 << 20))


async def test_what_a_server_says_that_takes_no_more_is_heard(clock):
    async def full(peer: RawClient) -> None:
        await peer.until(b"\r\n\r\n")
        await peer.send(answer(b"too long", 413))
        await trio.sleep_forever()

    async with scripted(full) as port, HttpClient(HERE) as client:
        found = await client.request("POST", f"http://127.0.0.1:{port}/", body=bytes(32 << 20))
        assert (found.status, found.body) == (413, b"too long")
        # The server would take the next request for the rest of this one.
        assert client.statistics().open == 0


async def test_a_host_that_accepts_nothing_is_given_up(clock):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # Fills the queue of connections that nobody accepts, so that the next gets no answer.
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        async with HttpClient(HERE) as client:
            with pytest.raises(Unreachable) as gone:
                await client.request("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/")
        for sock in waiting:
            sock.close()
    assert gone.value.status == 504


async def test_who_gives_up_waiting_leaves_no_connection_behind():
    async with scripted(silent) as port, HttpClient(HERE) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.request, "GET", f"http://127.0.0.1:{port}/")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert client.statistics().open == 0


async def test_idle_connections_are_closed_after_a_while(clock):
    log = Log(answer(b"1"), answer(b"2"))
    settings = ClientSettings(idle=60, allowed=("all",))
    async with scripted(log) as port, HttpClient(settings) as client:
        await client.request("GET", f"http://127.0.0.1:{port}/")
        await trio.sleep(61)
        await client.request("GET", f"http://127.0.0.1:{port}/")
    assert log.connections == 2
