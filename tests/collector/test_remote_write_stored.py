"""What a Prometheus sends, from bytes to the answer to a question."""

import struct

import pytest

from collector.ingest import store_group
from collector.model import Report, Signal, Taken
from collector.store.queries.metric_rates import metric_rates
from tests.collector.write_requests import NOW_MS, sample, series, version_1, version_2

EVERY_MS = 15_000
STALE = struct.unpack(">d", bytes.fromhex("7ff0000000000002"))[0]


@pytest.mark.parametrize(
    ("write", "signal"),
    [(version_1, Signal.REMOTE_WRITE), (version_2, Signal.REMOTE_WRITE_V2)],
    ids=["version 1", "version 2"],
)
def test_a_counter_rises_over_a_reset_a_gap_and_a_repetition(store, write, signal):
    """A scrape that failed leaves the mark of a series that ended, which is no point."""
    told = [10, 25, STALE, 40, 3, 9]  # 15 and 15 more, then begun anew: 3, and 6 more
    first_ms = NOW_MS - EVERY_MS * len(told)
    bodies = [
        write(series("hits_total", sample(value, first_ms + EVERY_MS * place)))
        for place, value in enumerate(told)
    ]
    reports = [Report(signal, body, NOW_MS * 10**6, "prometheus-0") for body in bodies]
    store_group(store, "collector", 1, Taken(reports))
    store_group(store, "collector", 2, Taken(reports[1:2]))
    start_ns, end_ns = (NOW_MS // 1000 - 600) * 10**9, (NOW_MS // 1000 + 1) * 10**9
    (one,) = metric_rates(store, "hits_total", start_ns, end_ns).series
    assert one.increase == pytest.approx(15 + 15 + 3 + 6)
    assert one.service == "shop"
