"""Clients that others wrote, through both doors; one that is not installed is skipped."""

from __future__ import annotations

import json
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import trio

from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from hyperbeam_trio.http.tls import open_tls_context
from tests.http.certificate import write_certificate
from tests.http.conftest import OpenDoor, door, echo, open_door

__all__ = ["door", "open_door"]

NODE_MODULES = Path(__file__).parent / "node_modules"
PAGE = b"""<!doctype html><title>page</title><p id=said>nothing</p><script>
fetch("/data", {method: "POST", body: "hello"})
    .then(answer => answer.text())
    .then(text => { document.getElementById("said").textContent = text })
</script>"""


def need(program: str) -> str:
    """The path of `program`; skips the test without it."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


async def run(*argv: str, environment: dict[str, str] | None = None) -> str:
    """What a program prints; it must end well."""
    env = None if environment is None else {**os.environ, **environment}
    with trio.fail_after(60):
        done = await trio.run_process(
            argv, capture_stdout=True, capture_stderr=True, check=False, env=env
        )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    return write_certificate(tmp_path)


@pytest.mark.parametrize("flag", ["--http1.0", "--http1.1", "--http2-prior-knowledge"])
async def test_curl_over_each_version(open_door: OpenDoor, flag: str) -> None:
    curl = need("curl")
    async with open_door(echo) as (host, port):
        url = f"http://{host}:{port}/a?b=c"
        assert await run(curl, "-sS", flag, url) == "/a?b=c|"
        assert await run(curl, "-sS", flag, "-d", "hello", url) == "/a?b=c|hello"


async def test_curl_sends_a_file_after_continue_and_reuses_its_connection(
    open_door: OpenDoor, tmp_path: Path
) -> None:
    curl = need("curl")
    file = tmp_path / "file"
    file.write_bytes(os.urandom(3_000_000))

    async def measure(request: HttpRequest) -> HttpResponse:
        total = 0
        async for part in request.body.chunks():
            total += len(part)
        return HttpResponse(200, [], b"%d " % total)

    async with open_door(measure) as (host, port):
        url = f"http://{host}:{port}/"
        expect = ["-H", "Expect: 100-continue"]
        told = await run(curl, "-sS", "-v", *expect, "-T", str(file), url, "-T", str(file), url)
        assert told == "3000000 3000000 "
        sent = await run(curl, "-sS", "-H", "Transfer-Encoding: chunked", "-T", str(file), url)
        assert sent == "3000000 "


async def test_curl_reads_a_stream_and_a_head(open_door: OpenDoor) -> None:
    curl = need("curl")

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(100):
            await trio.lowlevel.checkpoint()
            yield b"x" * 1000

    async def stream(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [(b"x-y", b"z")], parts())

    async with open_door(stream) as (host, port):
        url = f"http://{host}:{port}/"
        assert await run(curl, "-sS", url) == "x" * 100_000
        assert "x-y: z" in await run(curl, "-sSI", url)


@pytest.mark.parametrize("flag", ["--http1.1", "--http2"])
async def test_curl_over_tls(open_door: OpenDoor, certificate: tuple[str, str], flag: str) -> None:
    curl = need("curl")
    context = open_tls_context(*certificate)
    async with open_door(echo, tls=context) as (_, port):
        url = f"https://localhost:{port}/a"
        write = ["-w", "%{http_version}"]
        told = await run(curl, "-sS", flag, "-4", "--cacert", certificate[0], *write, url)
    assert told == ("/a|1.1" if flag == "--http1.1" else "/a|2")


@pytest.mark.parametrize("http2", [False, True])
async def test_httpx(open_door: OpenDoor, certificate: tuple[str, str], http2: bool) -> None:
    trusted = ssl.create_default_context(cafile=certificate[0])
    async with AsyncExitStack() as stack:
        opened = open_door(echo, tls=open_tls_context(*certificate))
        _, port = await stack.enter_async_context(opened)
        client = httpx.AsyncClient(
            http2=http2, verify=trusted, base_url=f"https://localhost:{port}", timeout=20
        )
        await stack.enter_async_context(client)
        answer = await client.post("/a?b", content=b"hello")
        assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        assert answer.content == b"/a?b|hello"

        async def body() -> AsyncIterator[bytes]:
            for _ in range(50):
                yield b"x" * 10_000

        assert len((await client.post("/", content=body())).content) == 2 + 500_000
        answers = []

        async def get(number: int) -> None:
            answers.append((await client.get(f"/{number}")).text)

        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(get, number)
        assert sorted(answers) == sorted(f"/{number}|" for number in range(30))


FETCH = """
const url = process.argv[1]
const say = async (answer) => [answer.status, await answer.text()]
const got = await Promise.all([...Array(20).keys()].map(n => fetch(`${url}/${n}`).then(say)))
const posted = await say(await fetch(url + "/post", {method: "POST", body: "x".repeat(200000)}))
console.log(JSON.stringify({got, posted: [posted[0], posted[1].length]}))
"""

PIPELINE = """
const {Client} = require("undici")
const client = new Client(process.argv[1], {pipelining: 10})
const one = async (n) => {
    const {statusCode, body} = await client.request({path: `/${n}`, method: "GET"})
    return [statusCode, await body.text()]
}
Promise.all([...Array(200).keys()].map(one)).then(all => {
    console.log(JSON.stringify(all))
    client.close()
})
"""


async def test_fetch_of_node(open_door: OpenDoor) -> None:
    node = need("node")
    async with open_door(echo) as (host, port):
        argv = [node, "--input-type=module", "-e", FETCH, f"http://{host}:{port}"]
        told = json.loads(await run(*argv))
    assert told["got"] == [[200, f"/{number}|"] for number in range(20)]
    assert told["posted"] == [200, len("/post|") + 200_000]


async def test_undici_with_pipelining(open_door: OpenDoor) -> None:
    node = need("node")
    paths = {"NODE_PATH": os.environ.get("NODE_PATH", str(NODE_MODULES))}
    found = await trio.run_process(
        [node, "-e", 'require("undici")'],
        env={**os.environ, **paths},
        check=False,
        capture_stderr=True,
    )
    if found.returncode:
        pytest.skip("undici is not installed: run `make interop`")
    async with open_door(echo) as (host, port):
        told = await run(node, "-e", PIPELINE, f"http://{host}:{port}", environment=paths)
    assert json.loads(told) == [[200, f"/{number}|"] for number in range(200)]


async def test_wrk_has_no_errors(open_door: OpenDoor) -> None:
    wrk = need("wrk")
    async with open_door(echo) as (host, port):
        told = await run(wrk, "-t1", "-c16", "-d1s", f"http://{host}:{port}/")
    assert "Requests/sec" in told
    assert "Non-2xx" not in told
    assert "Socket errors" not in told


@pytest.mark.parametrize("flag", ["--h1", None])
async def test_h2load_gets_every_answer(door: str, open_door: OpenDoor, flag: str | None) -> None:
    h2load = need("h2load")
    async with open_door(echo) as (host, port):
        argv = [h2load, "-n200", "-c4", "-m5", f"http://{host}:{port}/"]
        told = await run(*argv, *([flag] if flag else []))
    assert "200 done" in told
    assert "0 errored, 0 timeout" in told
    # h2load does not count an answer without a reason phrase, and hypercorn sends none.
    assert "200 succeeded" in told or (door, flag) == ("hypercorn", "--h1")


async def test_a_browser_loads_a_page_and_fetches(open_door: OpenDoor, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or need("chromium-browser")

    async def site(request: HttpRequest) -> HttpResponse:
        if request.target == b"/":
            return HttpResponse(200, [(b"content-type", b"text/html")], PAGE)
        return await echo(request)

    async with open_door(site) as (host, port):
        dom = await run(
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path}",
            "--virtual-time-budget=10000",
            "--dump-dom",
            f"http://{host}:{port}/",
        )
    assert '<p id="said">/data|hello</p>' in dom
