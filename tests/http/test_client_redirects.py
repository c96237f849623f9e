"""Where the HTTP client lets itself be led."""

import pytest

from hyperbeam_trio.errors import Forbidden, RemoteError
from hyperbeam_trio.http.client import REDIRECTS, HttpClient
from tests.http.answering import HERE, Log, answer
from tests.http.servers import scripted


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
