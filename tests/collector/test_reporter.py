import asyncio
import os

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from collector.errors import Overloaded
from collector.model import Report, Signal
from collector.outbox import Outbox, OutboxMetrics
from collector.reporter import OutboxReporter

MIB = 1024 * 1024


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
def outbox(tmp_path):
    outbox = Outbox(tmp_path, 8 * MIB, ballast_bytes=MIB)
    metrics = OutboxMetrics(outbox)
    yield outbox
    metrics.close()
    outbox.close()


def test_accepted_reports_are_counted_with_their_bytes_and_duplicates(outbox):
    labels = {"signal": "als"}
    names = [
        "meshmeter_reports_total",
        "meshmeter_report_bytes_total",
        "meshmeter_ingest_duplicate_requests_total",
    ]
    before = [value(name, **labels) for name in names]
    reporter = OutboxReporter(outbox)
    for _ in range(2):
        asyncio.run(reporter.report(Report(Signal.ALS, b"12345", 1, "n")))
    assert [value(name, **labels) for name in names] == [
        before[0] + 2,
        before[1] + 10,
        before[2] + 1,
    ]
    assert value("meshmeter_outbox_pending_requests") == 1


def test_a_refusal_is_counted_by_its_reason_and_nothing_else_is(outbox):
    labels = {"signal": "decisions"}
    refused = value("meshmeter_reports_refused_total", reason="full", **labels)
    accepted = value("meshmeter_reports_total", **labels)
    report = Report(Signal.DECISIONS, os.urandom(12 * MIB), 1, "n")
    with pytest.raises(Overloaded):
        asyncio.run(OutboxReporter(outbox).report(report))
    assert value("meshmeter_reports_refused_total", reason="full", **labels) == refused + 1
    assert value("meshmeter_reports_total", **labels) == accepted


def test_the_gauges_say_when_the_outbox_is_drained(outbox):
    asyncio.run(OutboxReporter(outbox).report(Report(Signal.ALS, b"12345", 1, "n")))
    group = outbox.freeze_group(MIB)
    assert value("meshmeter_outbox_pending_groups") == 1
    assert value("meshmeter_outbox_pending_bytes") == 5
    assert value("meshmeter_outbox_oldest_seconds") > 0
    outbox.mark_done(group)
    names = ("pending_requests", "pending_groups", "pending_bytes", "oldest_seconds")
    assert [value(f"meshmeter_outbox_{name}") for name in names] == [0, 0, 0, 0]


def test_a_closed_outbox_leaves_the_other_metrics_readable(tmp_path):
    outbox = Outbox(tmp_path / "closed", 8 * MIB, ballast_bytes=MIB)
    asyncio.run(outbox.append([Report(Signal.ALS, b"12345", 1, "n")]))
    registry = CollectorRegistry()
    OutboxMetrics(outbox, registry)
    outbox.close()
    assert registry.get_sample_value("meshmeter_outbox_pending_requests") == 1
