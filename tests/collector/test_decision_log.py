import asyncio

import pytest

from collector.decisions.log import BATCH_LINES, DecisionLog, trace_id
from collector.decoders import decode_group
from collector.model import Signal
from policy.attributes import AttributeBag
from policy.results import DecidedBy, Decision
from tests.collector.policy_parts import Reports, until
from tests.counters import Counters

TRACE = "0af7651916cd43dd8448eb211c80319c"
BAG = AttributeBag(
    {
        "source.service": "a",
        "destination.service": "b",
        "source.principal": "spiffe://mesh/a",
        "request.method": "GET",
        "request.path": "/x",
        "request.id": "r1",
        "request.headers": {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
    }
)
DENIED = Decision(
    id="d-1",
    allowed=False,
    decided_by=DecidedBy.QUOTA,
    rule="calm",
    rule_version=3,
    snapshot_version=9,
    reason="quota calm is exhausted",
    limit=10,
    remaining=0,
    quota_key="a",
    http_status=429,
    granted=0,
    override="gold",
    attributes={"source.service": "a"},
)


def test_a_record_has_the_columns_of_the_table() -> None:
    async def run() -> Reports:
        reports = Reports()
        log = DecisionLog(reports, identity="collector-1")
        log.add(DENIED, BAG, "rls", 1.0)
        await log.close()
        return reports

    reports = asyncio.run(run())
    (report,) = reports.taken
    (record,) = reports.records
    assert (report.signal, report.identity) == (Signal.DECISIONS, "collector-1")
    assert record.pop("time") <= report.received_ns
    assert record == {
        "id": "d-1",
        "allowed": 0,
        "rule": "calm",
        "rule_version": 3,
        "snapshot_version": 9,
        "decided_by": "quota",
        "reason": "quota calm is exhausted",
        "http_status": 429,
        "protocol": "rls",
        "source": "a",
        "destination": "b",
        "source_principal": "spiffe://mesh/a",
        "method": "GET",
        "path": "/x",
        "request_id": "r1",
        "trace_id": TRACE,
        "quota_limit": 10,
        "quota_remaining": 0,
        "quota_granted": 0,
        "quota_key": "a",
        "quota_override": "gold",
        "attributes": {"source.service": "a"},
        "weight": 1.0,
    }


def test_the_worker_reads_what_is_written() -> None:
    async def run() -> Reports:
        reports = Reports()
        log = DecisionLog(reports)
        log.add(DENIED, BAG, "rls", 1.0)
        log.add(DENIED, AttributeBag({"request.path": "/\ud800" + "x" * 10_000}), "rls", 100.0)
        await log.close()
        return reports

    decoded = decode_group(asyncio.run(run()).taken, group=1)
    assert not decoded.dead
    assert len(decoded.tables["decisions"]["id"]) == 2


def test_records_are_handed_over_soon_without_being_many() -> None:
    async def run() -> int:
        reports = Reports()
        log = DecisionLog(reports)
        log.add(DENIED, BAG, "rls", 1.0)
        await until(lambda: reports.taken)
        await log.close()
        return len(reports.taken)

    assert asyncio.run(run()) == 1


def test_many_records_go_in_batches_and_none_is_lost() -> None:
    async def run() -> Reports:
        reports = Reports()
        log = DecisionLog(reports)
        for number in range(3 * BATCH_LINES + 7):
            log.add(DENIED._replace(id=str(number)), BAG, "rls", 1.0)
        await log.close()
        return reports

    reports = asyncio.run(run())
    assert [record["id"] for record in reports.records] == [
        str(number) for number in range(3 * BATCH_LINES + 7)
    ]
    assert max(len(report.body.splitlines()) for report in reports.taken) == BATCH_LINES


def test_while_the_outbox_is_full_records_wait_and_the_rest_is_counted() -> None:
    async def run() -> Reports:
        reports = Reports()
        reports.full = True
        log = DecisionLog(reports, max_lines=5)
        for number in range(5):
            log.add(DENIED._replace(id=str(number)), BAG, "rls", 1.0)
        await until(lambda: reports.refused)
        for number in range(5, 8):
            log.add(DENIED._replace(id=str(number)), BAG, "rls", 1.0)
        reports.full = False
        await until(lambda: reports.taken)
        await log.close()
        return reports

    counters = Counters()
    reports = asyncio.run(run())
    assert [record["id"] for record in reports.records] == ["0", "1", "2", "3", "4"]
    assert counters.moved("decisions_dropped") == 3
    assert counters.moved("decisions_recorded") == 5


def test_closing_against_a_full_outbox_counts_what_is_lost() -> None:
    async def run() -> None:
        reports = Reports()
        reports.full = True
        log = DecisionLog(reports)
        for _ in range(300):
            log.add(DENIED, BAG, "rls", 1.0)
        await log.close()

    counters = Counters()
    asyncio.run(run())
    assert counters.moved("decisions_dropped") == 300


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, TRACE),
        ({"x-b3-traceid": TRACE}, TRACE),
        ({"x-b3-traceid": "b7ad6b7169203331"}, "0" * 16 + "b7ad6b7169203331"),
        ({"b3": f"{TRACE}-b7ad6b7169203331-1"}, TRACE),
        ({"b3": "0"}, ""),
        ({"traceparent": "nonsense"}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_the_trace_is_read_from_the_headers(headers: dict[str, str] | None, expected: str) -> None:
    bag = AttributeBag({"request.headers": headers} if headers is not None else {})
    assert trace_id(bag) == expected
