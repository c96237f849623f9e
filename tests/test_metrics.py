"""What is counted, and how it comes out of a histogram."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.metrics import BOUNDS, Exchanges, Histogram, Metrics


@given(st.lists(st.floats(0, 100)))
def test_a_bucket_counts_all_that_took_no_longer_than_its_bound(times):
    histogram = Histogram()
    for seconds in times:
        histogram.add(seconds)
    expected = [(b, sum(t <= b for t in times)) for b in (*BOUNDS, inf)]
    assert list(histogram.buckets()) == expected
    assert histogram.count == len(times)
    assert histogram.sum == sum(times)


def test_exchanges_are_told_apart_by_method_and_class_of_status():
    exchanges = Exchanges()
    for method, status in (("GET", 200), ("GET", 204), ("GET", 404), ("POST", 200)):
        exchanges.add(method, status, 0.5)
    counts = {kind: times.count for kind, times in exchanges.by_class().items()}
    assert counts == {("GET", "2xx"): 2, ("GET", "4xx"): 1, ("POST", "2xx"): 1}


def test_methods_that_a_client_made_up_count_as_one():
    exchanges = Exchanges()
    for number in range(1000):
        exchanges.add(f"METHOD{number}", 200, 0.0)
    assert {kind: t.count for kind, t in exchanges.by_class().items()} == {("OTHER", "2xx"): 1000}


def test_encodings_are_told_apart_by_status():
    metrics = Metrics()
    for status in (200, 200, 404):
        metrics.encoded(status, 0.25)
    assert {status: times.count for status, times in metrics.encoding.items()} == {200: 2, 404: 1}
