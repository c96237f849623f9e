"""Ten thousand clients that say nothing, and one that does."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

CONNECTIONS = 10_000
ALLOWED_KB = 24

SERVER = """
import trio
from functools import partial
from hyperbeam_trio.http.exchange import HttpResponse
from hyperbeam_trio.http.file_limit import raise_file_limit
from hyperbeam_trio.http.server import serve

def resident():
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith("VmRSS:"))

async def tell(request):
    return HttpResponse(200, [], resident().encode())

async def main():
    async with trio.open_nursery() as nursery:
        [address] = await nursery.start(partial(serve, tell, "127.0.0.1", 0))
        print(address[1], flush=True)

raise_file_limit()
trio.run(main)
"""

CLIENT = """
import socket, sys
from hyperbeam_trio.http.file_limit import raise_file_limit

raise_file_limit()
REQUEST = b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"

def connect():
    return socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60)

def ask(sock):
    sock.sendall(REQUEST)
    return int(sock.recv(65536).rpartition(b"\\r\\n\\r\\n")[2])

with connect() as other:
    for _ in range(100):
        before = ask(other)
    idle = [connect() for _ in range(int(sys.argv[2]))]
    for sock in idle[::2]:
        ask(sock)
    after = ask(other)
    ask(connect())
    print((after - before) / len(idle), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_ten_thousand_idle_connections_take_bounded_memory_while_others_are_served() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < CONNECTIONS + 200:
        pytest.skip(f"this system allows {hard} open files; the test needs {CONNECTIONS + 200}")
    argv = [sys.executable, "-c", SERVER]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            client = [sys.executable, "-c", CLIENT, port, str(CONNECTIONS)]
            done = subprocess.run(client, capture_output=True, text=True, timeout=120, check=True)
        finally:
            server.kill()
    assert 0 < float(done.stdout) <= ALLOWED_KB
