"""The node's HTTP client: what it asks, whom it refuses to ask, when it gives up."""

import socket
from itertools import pairwise

import pytest
import trio
import trio.testing

from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.errors import BadRequest, DeadlineExceeded, Forbidden, RemoteError
from hyperbeam_trio.http.client import REDIRECTS, ClientSettings, HttpClient
from hyperbeam_trio.http.pool import Unreachable
from tests.http.client import RawClient
from tests.http.servers import Names, scripted

HERE = ClientSettings(allowed=("127.0.0.1",))


def answer(body: bytes = b"", status: int = 200, *lines: str) -> bytes:
    head = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


async def take_request(peer: RawClient) -> tuple[list[str], bytes]:
    """The lines of the next request's head, and its body."""
    lines = (await peer.until(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    length = [int(line.partition(": ")[2]) for line in lines if line.startswith("content-length")]
    return lines, await peer.exactly(length[0]) if length else b""


class Log:
    """A server that answers every request with `answers` in turn and keeps what it was asked."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[list[str], bytes]] = []
        self.connections = 0

    async def __call__(self, peer: RawClient) -> None:
        self.connections += 1
        while True:
            self.requests.append(await take_request(peer))
            if not self.answers:
                return
            await peer.send(self.answers.pop(0))


async def test_a_request_carries_method_target_headers_and_body():
    log = Log(answer(b"done", 201, "X-A: 1", "X-A: 2"))
    async with scripted(log) as port, HttpClient(HERE) as client:
        found = await client.request(
            "POST",
            f"http://127.0.0.1:{port}/a/b?c=d",
            headers=[(b"X-One", b"1"), (b"host", b"evil"), (b"content-length", b"0")],
            body=b"hello",
        )
    [(lines, body)] = log.requests
    assert lines[:2] == ["POST /a/b?c=d HTTP/1.1", f"host: 127.0.0.1:{port}"]
    assert "x-one: 1" in lines
    assert lines.count("content-length: 5") == 1
    assert not any("evil" in line for line in lines)
    assert body == b"hello"
    assert (found.status, found.body) == (201, b"done")
    assert [value for name, value in found.headers if name == b"x-a"] == [b"1", b"2"]


async def test_one_connection_serves_many_requests():
    log = Log(*[answer(b"%d" % number) for number in range(5)])
    async with scripted(log) as port, HttpClient(HERE) as client:
        bodies = [(await client.request("GET", f"http://127.0.0.1:{port}/")).body for _ in range(5)]
        assert client.statistics().open == 1
    assert bodies == [b"0", b"1", b"2", b"3", b"4"]
    assert log.connections == 1


async def test_connections_are_bounded_and_others_wait_their_turn():
    arrived = trio.Event()
    go_on = trio.Event()
    here = 0

    async def serve(peer: RawClient) -> None:
        nonlocal here
        await take_request(peer)
        here += 1
        if here == 2:
            arrived.set()
        await go_on.wait()
        await peer.send(answer(b"x", 200, "connection: close"))

    settings = ClientSettings(connections=2, allowed=("all",))
    async with scripted(serve) as port, HttpClient(settings) as client, trio.open_nursery() as n:
        for _ in range(5):
            n.start_soon(client.request, "GET", f"http://127.0.0.1:{port}/")
        await arrived.wait()
        await trio.testing.wait_all_tasks_blocked()
        found = client.statistics()
        assert (found.open, found.waiting) == (2, 3)
        go_on.set()
    assert here == 5


async def test_an_idle_connection_makes_room_for_one_to_another_server():
    settings = ClientSettings(connections=1, allowed=("all",))
    one, two = Log(answer(b"1")), Log(answer(b"2"))
    async with scripted(one) as a, scripted(two) as b, HttpClient(settings) as client:
        assert (await client.request("GET", f"http://127.0.0.1:{a}/")).body == b"1"
        assert (await client.request("GET", f"http://127.0.0.1:{b}/")).body == b"2"
        assert client.statistics().open == 1


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


@pytest.fixture
def clock(autojump_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    """Virtual time that stands still while the loopback interface is at work."""
    autojump_clock.autojump_threshold = 0.02
    return autojump_clock


class OneEach:
    """Gives each connection one of `answers` and closes it; `times` says when they came."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.times: list[float] = []

    async def __call__(self, peer: RawClient) -> None:
        await take_request(peer)
        self.times.append(round(trio.current_time(), 1))
        await peer.send(self.answers.pop(0))

    @property
    def pauses(self) -> list[float]:
        return [after - before for before, after in pairwise(self.times)]


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


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


async def test_a_post_that_could_not_be_sent_is_tried_again(clock):
    settings = ClientSettings(retries=2, allowed=("all",))
    begun = trio.current_time()
    async with HttpClient(settings) as client:
        with pytest.raises(Unreachable, match="refused"):
            await client.request("POST", f"http://127.0.0.1:{closed_port()}/")
    assert round(trio.current_time() - begun) == 3


# Deadlines.


async def silent(peer: RawClient) -> None:
    await take_request(peer)
    await trio.sleep_forever()


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


# Bodies.


@pytest.mark.parametrize("framing", ["content-length: 100", "transfer-encoding: chunked"])
async def test_answers_are_bounded(framing):
    body = b"64\r\n" + bytes(100) + b"\r\n0\r\n\r\n" if "chunked" in framing else bytes(100)
    log = Log(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode() + body)
    async with scripted(log) as port, HttpClient(HERE) as client:
        with pytest.raises(RemoteError, match="longer than 99 bytes"):
            await client.request("GET", f"http://127.0.0.1:{port}/", max_body=99)
        assert client.statistics().open == 0


async def test_a_body_can_be_read_in_parts():
    log = Log(answer(bytes(3_000_000)))
    async with scripted(log) as port, HttpClient(HERE) as client:
        async with client.stream("GET", f"http://127.0.0.1:{port}/") as streamed:
            sizes = [len(part) async for part in streamed.chunks()]
        assert sum(sizes) == 3_000_000
        assert max(sizes) < 300_000
        assert client.statistics().idle == 1


async def test_an_answer_that_comes_before_the_request_is_sent_is_heard():
    async def early(peer: RawClient) -> None:
        await peer.until(b"\r\n\r\n")
        await peer.send(answer(b"too long", 413, "connection: close"))
        await peer.stream.send_eof()
        await peer.rest()

    async with scripted(early) as port, HttpClient(HERE) as client:
        found = await client.request("POST", f"http://127.0.0.1:{port}/", body=bytes(1 << 20))
    assert (found.status, found.body) == (413, b"too long")


async def test_large_heads_arrive():
    lines = [f"x-{number}: {'a' * 3000}" for number in range(100)]
    async with scripted(Log(answer(b"", 200, *lines))) as port, HttpClient(HERE) as client:
        found = await client.request("GET", f"http://127.0.0.1:{port}/")
    assert found.header(b"x-99") == b"a" * 3000


# Redirects.


def moved(location: str, status: int = 302) -> bytes:
    return answer(b"", status, f"location: {location}")


async def test_redirects_on_the_same_server_are_followed():
    log = Log(moved("/b"), moved("c?d"), answer(b"here"))
    async with scripted(log) as port, HttpClient(HERE) as client:
        found = await client.request("GET", f"http://127.0.0.1:{port}/a/x")
    assert [lines[0].split()[1] for lines, _ in log.requests] == ["/a/x", "/b", "/c?d"]
    assert (found.body, found.url) == (b"here", f"http://127.0.0.1:{port}/c?d")


async def test_redirects_to_another_server_are_given_to_the_caller():
    log = Log(moved("http://127.0.0.2:1/"))
    async with scripted(log) as port, HttpClient(HERE) as client:
        found = await client.request("GET", f"http://127.0.0.1:{port}/")
    assert (found.status, found.header(b"location")) == (302, b"http://127.0.0.2:1/")


@pytest.mark.parametrize("target", ["http://127.0.0.1:{}/", "//127.0.0.1:{}/", "http://[::1]:{}/"])
async def test_a_redirect_into_the_private_network_is_refused_even_to_who_may_go_anywhere(target):
    secret = Log(answer(b"secret"))
    async with scripted(secret) as inside:
        log = Log(moved(target.format(inside)))
        async with scripted(log) as port, HttpClient() as client:
            with pytest.raises(Forbidden):
                await client.request(
                    "GET", f"http://127.0.0.1:{port}/", allow_private=True, redirects="anywhere"
                )
    assert secret.requests == []


async def test_who_asked_for_it_is_led_to_another_server_without_secrets():
    goal = Log(answer(b"here"))
    async with scripted(goal) as there:
        log = Log(moved(f"http://127.0.0.1:{there}/x"))
        async with scripted(log) as port, HttpClient(HERE) as client:
            found = await client.request(
                "GET",
                f"http://127.0.0.1:{port}/",
                headers=[(b"authorization", b"s3cret"), (b"x-kept", b"1")],
                redirects="anywhere",
            )
    lines = goal.requests[0][0]
    assert found.body == b"here"
    assert "x-kept: 1" in lines
    assert not any("s3cret" in line for line in lines)


@pytest.mark.parametrize(("status", "method"), [(303, "GET"), (302, "GET"), (307, "POST")])
async def test_what_becomes_of_a_post_that_is_redirected(status, method):
    log = Log(moved("/b", status), answer(b"ok"))
    async with scripted(log) as port, HttpClient(HERE) as client:
        await client.request("POST", f"http://127.0.0.1:{port}/", body=b"hello")
    lines, body = log.requests[1]
    assert lines[0] == f"{method} /b HTTP/1.1"
    assert body == (b"hello" if method == "POST" else b"")


async def test_a_circle_of_redirects_ends():
    log = Log(*[moved("/again")] * (REDIRECTS + 1))
    async with scripted(log) as port, HttpClient(HERE) as client:
        with pytest.raises(RemoteError, match="redirects more than"):
            await client.request("GET", f"http://127.0.0.1:{port}/")


# Private addresses.


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


# What can't be sent, and the end.


@pytest.mark.parametrize(
    "header", [(b"x y", b"1"), (b"", b"1"), (b"x", b"1\r\ny: 2"), (b"x", b"\0")]
)
async def test_headers_that_can_not_be_sent_are_refused(header):
    async with HttpClient(HERE) as client:
        with pytest.raises(BadRequest):
            await client.request("GET", "http://127.0.0.1:1/", headers=[header])


async def test_methods_that_are_none_are_refused():
    async with HttpClient(HERE) as client:
        with pytest.raises(BadRequest, match="no HTTP method"):
            await client.request("GET / HTTP/1.1\r\nx:", "http://127.0.0.1:1/")


async def test_errors_do_not_repeat_the_query():
    async with HttpClient(HERE) as client:
        with pytest.raises(RemoteError) as gone:
            await client.request("GET", f"http://127.0.0.1:{closed_port()}/x?token=s3cret")
    assert "s3cret" not in str(gone.value)


async def test_a_closed_client_asks_nobody():
    log = Log(answer(b"ok"))
    async with scripted(log) as port:
        async with HttpClient(HERE) as client:
            await client.request("GET", f"http://127.0.0.1:{port}/")
        assert client.statistics().open == 0
        with pytest.raises(Unreachable, match="closed"):
            await client.request("GET", f"http://127.0.0.1:{port}/")


def test_settings_come_from_the_nodes_options():
    config = NodeConfig(
        http_client_connect_timeout=100,
        http_retry=3,
        http_retry_mode="constant",
        http_retry_response=[429, 503],
        http_allow_private=["10.0.0.0/8", "Peer.Internal"],
    )
    settings = ClientSettings.of(config)
    assert (settings.connect, settings.retries, settings.retry_doubles) == (0.1, 3, False)
    assert settings.retry_statuses == {429, 503}
    assert settings.allowed == ("10.0.0.0/8", "peer.internal")
