"""`/~hyperbuddy@1.0/metrics` and `events`: the node's numbers, as Prometheus reads them."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from hyperbeam_trio.message import Message
from hyperbeam_trio.starting import answer_siblings
from hyperbeam_trio.testing.node import running_node, served
from tests.support.in_memory import Client, header
from tests.support.workers import workers

PAGE = "/~hyperbuddy@1.0/metrics"


@pytest.fixture
async def client():
    async with running_node() as node:
        yield Client(node)


async def samples(client: Client, page: str = PAGE) -> dict[tuple[str, ...], float]:
    """Every sample of the page, by its name and the values of its labels."""
    response = await client.ask(page)
    assert header(response, "content-type") == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for family in text_string_to_metric_families(response.body.decode()):
        for sample in family.samples:
            labels = (value for name, value in sorted(sample.labels.items()))
            found[sample.name, *labels] = sample.value
    return found


async def test_answers_are_counted_by_method_and_status(client):
    for _ in range(3):
        await client.ask("/~meta@1.0/build/node")
    await client.ask("/~meta@1.0/nothing")
    found = await samples(client)
    assert found["http_server_duration_seconds_count", "GET", "2xx"] == 3
    assert found["http_server_duration_seconds_count", "GET", "4xx"] == 1
    assert found["http_server_duration_seconds_bucket", "GET", "+Inf", "2xx"] == 3
    assert found["http_server_encoding_duration_seconds_count", "200"] == 1
    assert found["cowboy_requests_total", "GET", "2xx"] == 3
    assert ("cowboy_errors_total", "GET", "2xx") not in found


async def test_steps_and_kept_answers_are_events(client):
    for target in ("/~meta@1.0/build/node", "/~meta@1.0/build/node", "/~meta@1.0/build/version"):
        await client.ask(target)
    found = await samples(client)
    assert found["event", "kept", "http_answer"] == 1
    assert found["event", "miss", "ao_result"] >= 1
    assert found["event", "hit", "ao_result"] >= 1


async def test_the_process_is_described(client):
    found = await samples(client)
    assert found[("process_uptime_seconds",)] >= 0
    assert found[("hyperbeam_schedulers",)] == 0
    assert ("system_load",) in found
    assert found[("outbound_connections",)] == 0


async def test_connections_and_what_was_refused_are_counted():
    options = {"http_allow_private": ["127.0.0.1"], "http_connections_per_address": 1}
    async with running_node(**options) as node, served(node) as url:
        await node.http_client.request("GET", url + "~meta@1.0/build/node")
        async with await trio.open_tcp_stream("127.0.0.1", urlsplit(url).port) as other:
            assert b"503" in await other.receive_some()
        found = await samples(Client(node))
    assert found[("http_server_connections",)] == 1
    assert found[("http_server_requests_in_flight",)] == 0
    assert found[("http_server_connections_accepted_total",)] == 1
    assert found[("http_server_connections_refused_total",)] == 1
    assert found[("http_server_requests_refused_total",)] == 0
    assert (await samples(Client(node)))[("http_server_connections",)] == 0


async def test_requests_to_others_are_counted_with_their_bytes():
    async with running_node(http_allow_private=["127.0.0.1"]) as node, served(node) as url:
        await node.http_client.request("GET", url + "~meta@1.0/build/node")
        found = await samples(Client(node))
    assert found["http_request_duration_seconds_count", "GET", "2xx"] == 1
    assert found[("http_client_uploaded_bytes_total",)] > 20
    assert found[("http_client_downloaded_bytes_total",)] > 100


async def test_a_process_is_shown_with_its_newest_slot():
    async with running_node() as node:
        client = Client(node)

        async def service(*, task_status):
            task_status.started(SimpleNamespace(newest=7))
            await trio.sleep_forever()

        await node.schedulers.ensure("P", service)
        found = await samples(client)
    assert found[("hyperbeam_schedulers",)] == 1
    assert found["hyperbeam_process_slot", "P"] == 7


async def test_of_several_processes_all_are_shown(tmp_path):
    async with running_node() as first, running_node() as second:
        with workers(tmp_path, 2) as siblings:
            async with trio.open_nursery() as nursery:
                await nursery.start(answer_siblings, first, siblings[0])
                await nursery.start(answer_siblings, second, siblings[1])
                await Client(first).ask("/~meta@1.0/build/node")
                for _ in range(4):
                    await Client(second).ask("/~meta@1.0/nothing")
                found = await samples(Client(second))
                alone = await samples(Client(second), PAGE + "&alone=true")
                nursery.cancel_scope.cancel()
    count = "http_server_duration_seconds_count"
    assert found[count, "GET", "2xx", "0"] == 1
    assert found[count, "GET", "4xx", "1"] == 4
    assert found["http_server_duration_seconds_bucket", "GET", "+Inf", "4xx", "1"] == 4
    assert found["cowboy_requests_total", "GET", "2xx", "0"] == 1
    assert found["process_uptime_seconds", "0"] >= found["process_uptime_seconds", "1"] >= 0
    assert found["event", "miss", "ao_result", "0"] >= 1
    assert alone[count, "GET", "4xx"] == 4


async def test_a_process_that_shows_no_numbers_is_left_out(tmp_path):
    async with running_node() as first, running_node(prometheus=False) as second:
        with workers(tmp_path, 2) as siblings:
            async with trio.open_nursery() as nursery:
                await nursery.start(answer_siblings, first, siblings[0])
                await nursery.start(answer_siblings, second, siblings[1])
                found = await samples(Client(first))
                nursery.cancel_scope.cancel()
    assert found["process_uptime_seconds", "0"] >= 0
    assert ("process_uptime_seconds", "1") not in found


async def test_the_numbers_can_be_turned_off():
    async with running_node(prometheus=False) as node:
        client = Client(node)
        await client.ask("/~meta@1.0/build/node")
        assert (await client.ask(PAGE)).body == b"Prometheus metrics disabled."
        assert not node.metrics.served.by_class()


async def test_events_are_a_message_of_counters():
    async with running_node() as node:
        await Client(node).ask("/~meta@1.0/build/node")
        found = await node.resolve("/~hyperbuddy@1.0/events/http_answer")
    assert isinstance(found, Message)
    assert found.int("2xx") == 1
