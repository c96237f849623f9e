"""What the HTTP client asks again, and what never."""

import pytest
import trio
import trio.testing

from hyperbeam_trio.errors import DeadlineExceeded, RemoteError
from hyperbeam_trio.http.client import ClientSettings, HttpClient
from hyperbeam_trio.http.pool import Unreachable
from tests.http.answering import HERE, Log, OneEach, answer, closed_port, take_request
from tests.http.client import RawClient
from tests.http.servers import scripted

# Idle connections that the other side has closed.


def closing(*answers: bytes):
    """Says one answer a connection, then closes it although it promised to keep it."""
    left = list(answers)
    closed = [trio.Event() for _ in answers]
    count = iter(range(len(answers)))

    async def serve(peer: RawClient) -> None:
        number = next(count)
        await take_request(peer)
        await peer.send(left[number])
        await peer.stream.aclose()
        closed[number].set()

    return serve, closed


async def test_a_connection_that_was_closed_meanwhile_is_not_used_again():
    serve, closed = closing(answer(b"1"), answer(b"2"))
    async with scripted(serve) as port, HttpClient(HERE) as client:
        assert (await client.request("POST", f"http://127.0.0.1:{port}/")).body == b"1"
        await closed[0].wait()
        assert (await client.request("POST", f"http://127.0.0.1:{port}/")).body == b"2"


def unheard():
    """Takes the second request of its first connection and closes without a word."""
    first = True
    requests: list[str] = []

    async def serve(peer: RawClient) -> None:
        nonlocal first
        fresh, first = first, False
        lines, _ = await take_request(peer)
        requests.append(lines[0])
        await peer.send(answer(b"ok"))
        if fresh:
            lines, _ = await take_request(peer)
            requests.append(lines[0])
        else:
            await peer.rest()

    return serve, requests


async def test_a_request_that_nobody_heard_is_sent_again_on_a_fresh_connection():
    serve, requests = unheard()
    async with scripted(serve) as port, HttpClient(HERE) as client:
        await client.request("GET", f"http://127.0.0.1:{port}/1")
        found = await client.request("GET", f"http://127.0.0.1:{port}/2")
    assert found.body == b"ok"
    assert requests == ["GET /1 HTTP/1.1", "GET /2 HTTP/1.1", "GET /2 HTTP/1.1"]


async def test_a_post_is_never_sent_twice():
    serve, requests = unheard()
    async with scripted(serve) as port, HttpClient(HERE) as client:
        await client.request("POST", f"http://127.0.0.1:{port}/1")
        with pytest.raises(RemoteError, match="POST http://127"):
            await client.request("POST", f"http://127.0.0.1:{port}/2")
    assert len(requests) == 2


async def test_an_answer_that_began_is_not_asked_for_again():
    log = Log(answer(b"ok"), b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    async with scripted(log) as port, HttpClient(HERE) as client:
        await client.request("GET", f"http://127.0.0.1:{port}/")
        async with client.stream("GET", f"http://127.0.0.1:{port}/") as streamed:
            log.answers.append(b"")
            with pytest.raises(DeadlineExceeded):
                await client.request("GET", f"http://127.0.0.1:{port}/", deadline=0.01)
            assert streamed.status == 200
    assert [lines[0] for lines, _ in log.requests] == ["GET / HTTP/1.1"] * 3


# Retries that the operator asked for.


CUT = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"


@pytest.mark.parametrize(("doubles", "pauses"), [(True, [1, 2]), (False, [1, 1])])
async def test_a_broken_answer_is_asked_for_again_after_a_pause(clock, doubles, pauses):
    serve = OneEach(CUT, b"nonsense", answer(b"ok"))
    settings = ClientSettings(retries=2, retry_doubles=doubles, allowed=("all",))
    async with scripted(serve) as port, HttpClient(settings) as client:
        assert (await client.request("GET", f"http://127.0.0.1:{port}/")).body == b"ok"
    assert serve.pauses == pauses


async def test_the_last_failure_is_told(clock):
    serve = OneEach(CUT, CUT)
    settings = ClientSettings(retries=1, allowed=("all",))
    async with scripted(serve) as port, HttpClient(settings) as client:
        with pytest.raises(RemoteError, match="ended within the answer"):
            await client.request("GET", f"http://127.0.0.1:{port}/")


async def test_some_statuses_are_worth_another_try(clock):
    serve = OneEach(answer(b"no", 503), answer(b"ok"))
    settings = ClientSettings(retries=3, retry_statuses=frozenset({503}), allowed=("all",))
    async with scripted(serve) as port, HttpClient(settings) as client:
        assert (await client.request("POST", f"http://127.0.0.1:{port}/")).body == b"ok"


async def test_the_last_answer_is_given_whatever_its_status(clock):
    serve = OneEach(answer(b"no", 503), answer(b"still no", 503))
    settings = ClientSettings(retries=1, retry_statuses=frozenset({503}), allowed=("all",))
    async with scripted(serve) as port, HttpClient(settings) as client:
        assert (await client.request("GET", f"http://127.0.0.1:{port}/")).body == b"still no"


async def test_a_post_that_was_sent_is_not_repeated_even_then(clock):
    serve = OneEach(CUT)
    settings = ClientSettings(retries=5, allowed=("all",))
    async with scripted(serve) as port, HttpClient(settings) as client:
        with pytest.raises(RemoteError):
            await client.request("POST", f"http://127.0.0.1:{port}/")


async def test_a_post_that_could_not_be_sent_is_tried_again(clock):
    settings = ClientSettings(retries=2, allowed=("all",))
    begun = trio.current_time()
    async with HttpClient(settings) as client:
        with pytest.raises(Unreachable, match="refused"):
            await client.request("POST", f"http://127.0.0.1:{closed_port()}/")
    assert round(trio.current_time() - begun) == 3
