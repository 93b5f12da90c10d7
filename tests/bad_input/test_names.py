"""Thousands of service and span names: those over the budget are one, and the totals stay true."""

from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.store.client import Store
from tests import plain_http
from tests.bad_input.live import LiveCollector
from tests.collector.messages import span, traces
from tests.conftest import ValkeyProcess
from tests.pipeline.processes import running
from tests.waiting import eventually

SERVICES, OPERATIONS = 20, 10  # the budget
SENT = 500

COUNTED = """
SELECT
    (SELECT count() FROM spans),
    (SELECT sum(spans) FROM operations_1s),
    (SELECT uniqExact(service) FROM operations_1s),
    (SELECT uniqExact(service, name) FROM operations_1s),
    (SELECT count() FROM spans WHERE service = '__other__'),
    (SELECT uniqExact(resource['meshmeter.service'], attributes['meshmeter.service']) FROM spans)
"""


@pytest.fixture
def budgeted(tmp_path, valkey: ValkeyProcess, store_url: str) -> Iterator[LiveCollector]:
    collector = LiveCollector(
        tmp_path,
        valkey.url,
        clickhouse_url=store_url,
        broker_url=valkey.url,
        max_services=SERVICES,
        max_operations=OPERATIONS,
    )
    yield collector
    collector.kill()


def many_services() -> bytes:
    request = ExportTraceServiceRequest()
    for number in range(SENT):
        request.MergeFromString(traces(span(), service=f"service-{number}"))
    return request.SerializeToString()


def many_operations() -> bytes:
    return traces(*(span(name=f"GET /user/{number}") for number in range(SENT)), service="cart")


def test_names_over_the_budget_are_stored_as_one_and_every_span_counts(
    budgeted: LiveCollector, store_url: str, tmp_path
) -> None:
    counters = budgeted.counters()
    budgeted.post(many_operations()).raise_for_status()
    budgeted.post(many_services()).raise_for_status()
    with running("worker", budgeted.settings, tmp_path), Store(store_url) as store:
        eventually(lambda: pending(budgeted) == 0, timeout_s=60)
        (found,) = store.rows(COUNTED)
    # cart has ten operations and the rest; of the others nineteen have a place.
    assert found == (2 * SENT, 2 * SENT, SERVICES + 1, 10 + 1 + 19 + 1, SENT - 19, SENT - 18)
    told = plain_http.get(f"{budgeted.url}/api/v1/names").raise_for_status().json()["turned_away"]
    assert [(each["kind"], each["owner"], each["places"], each["names"]) for each in told] == [
        ("service", "127.0.0.1", SERVICES, SENT - 19),
        ("operation", "cart", OPERATIONS, SENT - OPERATIONS),
    ]
    assert counters.moved("names_turned_away", kind="service") == SENT - 19
    assert counters.moved("names_turned_away", kind="operation") == SENT - OPERATIONS


def pending(collector: LiveCollector) -> int:
    count: int = plain_http.get(f"{collector.url}/api/v1/outbox").json()["pending_requests"]
    return count
