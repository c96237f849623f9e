"""A node's numbers in the text format of Prometheus, under the reference's names (spec/07 §14)."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import isinf
from time import monotonic
from typing import TYPE_CHECKING, Final

from hyperbeam_trio.metrics import Histogram
from hyperbeam_trio.node import Node

if TYPE_CHECKING:
    from prometheus_client.core import HistogramMetricFamily
    from prometheus_client.metrics_core import Metric

log = logging.getLogger("hyperbeam_trio.metrics")

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OWN_PAGE: Final = "/~hyperbuddy@1.0/metrics&alone=true"
"""Where one process of a node tells its own numbers."""
MAX_PROCESSES: Final = 1000
"""Processes whose newest slot is told; beyond them a scrape would be too long."""


def exposition(node: Node) -> str:
    """The metrics page of one process of a node."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import generate_latest

    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_Numbers(node))
    return generate_latest(registry).decode()


async def exposition_of_all(node: Node) -> str:
    """The same of all processes of a node, told apart by the label `worker`, their number.

    One that does not answer in time, or not with its numbers, is left out.
    """
    if node.siblings is None:
        return exposition(node)
    pages = await node.siblings.ask_others(OWN_PAGE)
    pages[node.siblings.number] = exposition(node).encode()
    return joined({number: page.decode() for number, page in sorted(pages.items())})


def joined(pages: Mapping[int, str]) -> str:
    """One page of several; each sample gets the number of its page as the label `worker`."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import generate_latest
    from prometheus_client.metrics_core import Metric
    from prometheus_client.parser import text_string_to_metric_families

    families: dict[str, Metric] = {}
    for number, page in pages.items():
        try:
            shown = list(text_string_to_metric_families(page))
        except ValueError as error:
            log.warning("Process %d of this node shows no metrics: %s", number, error)
            continue
        for found in shown:
            about = found.name, found.documentation, found.type
            family = families.setdefault(found.name, Metric(*about))
            for sample in found.samples:
                labels = {"worker": str(number), **sample.labels}
                family.add_sample(sample.name, labels, sample.value)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families.values()))
    return generate_latest(registry).decode()


class _Families:
    """What prometheus_client asks for metrics that are known already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def events(node: Node) -> dict[str, dict[str, int]]:
    """Counters by topic and event."""
    metrics = node.metrics
    answered = {"kept": metrics.kept}
    for (_, status), times in metrics.served.by_class().items():
        answered[status] = answered.get(status, 0) + times.count
    return {
        "ao_result": {"hit": metrics.hits, "miss": metrics.misses},
        "http_answer": answered,
    }


_NOW: Final = (
    ("connections", "http_server_connections", "Connections that are open."),
    ("idle", "http_server_idle_connections", "Connections without a request."),
    ("requests", "http_server_requests_in_flight", "Requests that are being answered."),
)
_SINCE_THE_START: Final = (
    ("accepted", "http_server_connections_accepted", "Connections that were let in."),
    ("refused_connections", "http_server_connections_refused", "Connections beyond a limit."),
    ("refused_requests", "http_server_requests_refused", "Requests beyond a limit."),
)


class _Numbers:
    """What prometheus_client asks for the metrics of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        yield from self._about_node()
        yield from self._served()
        yield from self._doors()
        yield from self._asked()
        yield from self._processes()

    def _about_node(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily, UntypedMetricFamily

        uptime = monotonic() - self._node.metrics.begun
        yield GaugeMetricFamily("process_uptime_seconds", "Since the node began.", uptime)
        yield GaugeMetricFamily("system_load", "Load of a minute.", os.getloadavg()[0])
        # As a counter it would have to be called event_total, and nobody looks for that.
        about = "What happened how often, since the node began."
        counted = UntypedMetricFamily("event", about, None, ("topic", "event"))
        for topic, found in events(self._node).items():
            for event, count in found.items():
                counted.add_metric((topic, event), count)
        yield counted

    def _served(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily

        metrics = self._node.metrics
        served = metrics.served.by_class()
        labels = ("http_method", "status_class")
        name = "http_server_duration_seconds"
        yield _histograms(name, "Until an answer was ready.", labels, served.items())
        encoding = [((str(status),), times) for status, times in metrics.encoding.items()]
        name = "http_server_encoding_duration_seconds"
        yield _histograms(name, "Encoding and signing an answer.", ("status_code",), encoding)
        # The same again under the names of the reference's server library, for its dashboards.
        labels = ("method", "status_class")
        requests = CounterMetricFamily("cowboy_requests", "Requests answered.", None, labels)
        errors = CounterMetricFamily("cowboy_errors", "Requests the node failed at.", None, labels)
        for kind, times in served.items():
            requests.add_metric(kind, times.count)
            if kind[1] == "5xx":
                errors.add_metric(kind, times.count)
        yield requests
        yield errors
        yield _histograms("cowboy_request_duration_seconds", "Of requests.", labels, served.items())

    def _doors(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        numbers = self._node.metrics.doors()
        for key, name, about in _NOW:
            yield GaugeMetricFamily(name, about, numbers.get(key, 0))
        for key, name, about in _SINCE_THE_START:
            yield CounterMetricFamily(name, about, numbers.get(key, 0))

    def _asked(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        client = self._node.http_client
        asked = client.exchanges
        labels = ("http_method", "status_class")
        name = "http_request_duration_seconds"
        yield _histograms(name, "Requests to other servers.", labels, asked.by_class().items())
        open_now = client.statistics().open
        yield GaugeMetricFamily("outbound_connections", "Connections to them.", open_now)
        name = "http_client_downloaded_bytes"
        yield CounterMetricFamily(name, "Bytes of their answers.", asked.downloaded)
        name = "http_client_uploaded_bytes"
        yield CounterMetricFamily(name, "Bytes that were sent to them.", asked.uploaded)

    def _processes(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        schedulers = self._node.schedulers
        names = schedulers.names()
        name = "hyperbeam_schedulers"
        yield GaugeMetricFamily(name, "Processes whose scheduler is running.", len(names))
        slots = GaugeMetricFamily(
            "hyperbeam_process_slot", "Newest slot of a process.", None, ("process",)
        )
        for process in islice(names, MAX_PROCESSES):
            slot = getattr(schedulers.handle(process), "newest", None)
            if slot is not None:
                slots.add_metric((process,), slot)
        yield slots


def _histograms(
    name: str, about: str, labels: Iterable[str], found: Iterable[tuple[Sequence[str], Histogram]]
) -> HistogramMetricFamily:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(name, about, labels=tuple(labels))
    for values, times in found:
        buckets = [(_bound(bound), count) for bound, count in times.buckets()]
        family.add_metric(values, buckets, times.sum)
    return family


def _bound(seconds: float) -> str:
    return "+Inf" if isinf(seconds) else str(seconds)
