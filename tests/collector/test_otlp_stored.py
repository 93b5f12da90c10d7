"""Every OTLP signal in both encodings, in one group, from bytes to rows: each once."""

from collector.ingest import store_group
from collector.model import Signal, Taken
from tests.collector.otlp_messages import as_json
from tests.collector.reports import (
    counter,
    log_record,
    logs,
    metrics,
    number_point,
    report,
    span,
    text,
    traces,
)

ACCESS = {"context.reporter.kind": "inbound", "response.code": "200"}


def test_a_group_of_all_signals_is_stored_once_however_often_it_is_tried(store):
    access = log_record(attributes=[text(*pair) for pair in ACCESS.items()])
    told = [
        (Signal.OTLP_TRACES, traces(span(), span(trace_id=b"x"))),
        (Signal.OTLP_LOGS, logs(log_record(), access)),
        (Signal.OTLP_METRICS, metrics(counter(number_point(), number_point(flags=1)))),
    ]
    reports = [report(message, signal) for signal, message in told]
    reports += [report(as_json(message), Signal(f"{signal}-json")) for signal, message in told]
    for _ in range(3):
        store_group(store, "collector", 7, Taken(reports))
    tables = ("spans", "logs", "requests", "metric_points", "dead_letters", "metric_exports")
    counts = {table: store.rows(f"SELECT count() FROM {table}")[0][0] for table in tables}
    assert counts == {
        "spans": 2,
        "logs": 2,
        "requests": 2,
        "metric_points": 2,
        "dead_letters": 2,
        "metric_exports": 1,
    }
    assert store.rows("SELECT uniqExact(series), uniqExact(_group) FROM metric_points") == [(1, 1)]
