"""OTLP log records become rows, of `requests` when they tell of one; JSON gives the same rows."""

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.decoders import decode_group
from collector.decoders.otlp_json_logs import inspect_logs_json
from collector.decoders.skeleton import inspect_logs
from collector.errors import Malformed, TooLarge
from collector.model import Signal
from collector.store.client import Store
from collector.store.tables import NO_TRACE
from tests.collector.otlp_messages import as_json, log_requests
from tests.collector.reports import (
    NOW_NS,
    SECOND,
    SPAN_ID,
    TRACE_ID,
    log_record,
    logs,
    report,
    text,
)

DAY = 86_400 * SECOND
EXAMPLES = itertools.count()

ACCESS = {
    "context.reporter.kind": "inbound",
    "source.service": "a.default",
    "request.method": "GET",
    "request.path": "/items?q=1",
    "request.host": "b.default:8080",
    "response.code": "200",
    "response.duration": "12ms",
    "context.proxy_error_code": "-",
}


def decode(*records: LogRecord, **kwargs: str):
    return decode_group([report(logs(*records, **kwargs), Signal.OTLP_LOGS)], 1)


def only(decoded, table="logs"):
    """The one row, by column."""
    assert decoded.counts == {table: 1}
    return {name: values[0] for name, values in decoded.tables[table].items()}


def entry(**changes: str) -> LogRecord:
    """An entry of an access log; "__" in names stands for a dot."""
    told = ACCESS | {name.replace("__", "."): value for name, value in changes.items()}
    return log_record(attributes=[text(*pair) for pair in told.items()])


def access(**changes: str):
    return only(decode(entry(**changes)), "requests")


def test_a_record_is_a_row():
    record = log_record(
        observed_time_unix_nano=NOW_NS,
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        event_name="cart.opened",
        attributes=[text("k", "v")],
    )
    assert only(decode(record, scope="shop.cart", service__name="cart")) == {
        "time": NOW_NS - SECOND,
        "observed": NOW_NS,
        "service": "cart",
        "severity": 9,
        "severity_text": "INFO",
        "body": "it happened",
        "event": "cart.opened",
        "trace_id": TRACE_ID,
        "span_id": int(SPAN_ID.hex(), 16),
        "scope": "shop.cart",
        "attributes": {"k": "v"},
        "resource": {"service.name": "cart"},
        "_group": 1,
    }


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        ({}, ""),
        ({"string_value": "a\nb"}, "a\nb"),
        ({"int_value": 5}, "5"),
        ({"array_value": ArrayValue(values=[AnyValue(bool_value=True)])}, "[true]"),
        ({"kvlist_value": KeyValueList(values=[KeyValue(key="k")])}, '{"k":null}'),
        ({"bytes_value": b"\xff"}, "/w=="),
    ],
)
def test_a_body_of_any_kind_is_text(body, stored):
    assert only(decode(log_record(body=AnyValue(**body))))["body"] == stored


def test_a_long_body_is_cut_at_64_kib_and_flagged():
    row = only(decode(log_record(body=AnyValue(string_value="ü" * 50_000))))
    assert row["body"] == "ü" * (32 * 1024)
    assert row["attributes"] == {"meshmeter.cut_body": "1"}


def test_a_record_without_a_time_is_of_when_it_was_observed_else_accepted():
    observed = log_record(time_unix_nano=0, observed_time_unix_nano=NOW_NS - 5)
    assert only(decode(observed))["time"] == NOW_NS - 5
    assert only(decode(log_record(time_unix_nano=0)))["time"] == NOW_NS


@pytest.mark.parametrize(
    ("time_ns", "reason"),
    [
        (1, "no_time"),
        (NOW_NS // 1000, "no_time"),
        (NOW_NS - 7 * DAY - 1, "too_old"),
        (NOW_NS + 600 * SECOND + 1, "in_the_future"),
        (2**64 - 1, "in_the_future"),
    ],
)
def test_a_time_outside_of_what_is_kept_is_a_dead_letter(time_ns, reason):
    refused = log_record(time_unix_nano=time_ns)
    decoded = decode(refused, log_record())
    assert [letter.reason for letter in decoded.dead] == [reason]
    assert decoded.dead[0].detail.startswith("time ")
    assert LogRecord.FromString(decoded.dead[0].item) == refused
    assert decoded.counts == {"logs": 1, "dead_letters": 1}


def test_ids_of_another_size_are_none():
    row = only(decode(log_record(trace_id=b"abc", span_id=b"abc")))
    assert (row["trace_id"], row["span_id"]) == (NO_TRACE, 0)


@pytest.mark.parametrize(("told", "stored"), [(77, 77), (256, 0), (-1, 0)])
def test_a_severity_we_do_not_know_is_what_the_column_holds(told, stored):
    assert only(decode(log_record(severity_number=told)))["severity"] == stored


def test_envoys_cluster_is_its_service():
    resource = {"log_name": "inbound", "cluster_name": "b.default", "node_name": "b-1.default"}
    assert only(decode(log_record(), **resource))["service"] == "b.default"
    assert only(decode(log_record(), x="y"))["service"] == "unknown"


def test_text_that_is_not_utf_8_is_repaired():
    told = logs(log_record(), log_record(body=AnyValue(string_value="BAD?")))
    raw = told.SerializeToString().replace(b"BAD?", b"BAD\xff")
    decoded = decode_group([report(raw, Signal.OTLP_LOGS)], 1)
    assert decoded.tables["logs"]["body"] == ["it happened", "BAD�"]


# --- access logs


def test_an_access_log_entry_is_a_request():
    row = access(log__record__uid="stream-1", x__user="ada")
    told = {
        "source": "a.default",
        "destination": "b.default",
        "reporter": "destination",
        "node": "b-1.default",
        "protocol": "http",
        "method": "GET",
        "host": "b.default:8080",
        "path": "/items?q=1",
        "status": 200,
        "error": 0,
        "denied": 0,
        "flags": "",
        "duration_ns": 12_000_000,
        "log_id": "stream-1",
        "tags": {"x.user": "ada"},
        "weight": 1.0,
    }
    assert {name: row[name] for name in told} == told


def test_outbound_the_destination_is_read_of_envoys_cluster():
    row = access(
        context__reporter__kind="outbound",
        source__service="-",
        destination__service="outbound|8080||c.stock.svc.cluster.local",
    )
    assert (row["source"], row["destination"], row["reporter"]) == (
        "b.default",
        "c.stock",
        "source",
    )


def test_inbound_a_principal_names_the_caller_that_names_itself_not():
    row = access(source__service="-", source__principal="spiffe://mesh/ns/shop/sa/web")
    assert (row["source"], row["source_principal"]) == ("web.shop", "spiffe://mesh/ns/shop/sa/web")
    assert access(source__service="-")["source"] == "unknown"


@pytest.mark.parametrize(
    ("changes", "status", "error", "denied"),
    [
        ({"response__code": "503"}, 503, 1, 0),
        ({"response__code": "0"}, 0, 1, 0),
        ({"response__code": "-"}, 0, 1, 0),
        ({"response__code": "404"}, 404, 0, 0),
        ({"response__code": "403", "context__proxy_error_code": "UAEX"}, 403, 0, 1),
        ({"response__code": "429", "context__proxy_error_code": "DC,RL"}, 429, 0, 1),
        ({"response__code": "503", "meshmeter__rule": "r@1"}, 503, 0, 1),
        ({"response__code": "99999"}, 65535, 1, 0),
        ({"response__code": "٢٠٠"}, 0, 1, 0),
    ],
)
def test_an_outcome_is_read_of_code_and_flags(changes, status, error, denied):
    row = access(**changes)
    assert (row["status"], row["error"], row["denied"]) == (status, error, denied)


def test_a_tcp_connection_has_no_code_and_fails_by_its_flags():
    told = {"context__protocol": "tcp", "connection__received__bytes": "7"}
    row = access(**told, connection__sent__bytes="8", context__proxy_error_code="UF,URX")
    assert (row["protocol"], row["status"], row["error"]) == ("tcp", 200, 1)
    assert (row["request_bytes"], row["response_bytes"]) == (7, 8)


@pytest.mark.parametrize(
    ("told", "expected_ns"),
    [("1.5s", 1_500_000_000), ("-5ms", 0), ("5", 0), ("-", 0), ("99999999999999999h", 0)],
)
def test_a_duration_is_what_go_writes(told, expected_ns):
    assert access(response__duration=told)["duration_ns"] == expected_ns


@pytest.mark.parametrize("size", ["-1", "x", "9" * 30])
def test_a_size_that_is_none_is_0(size):
    assert access(request__total_size=size)["request_bytes"] == 0


@pytest.mark.parametrize(
    "changes", [{"context.reporter.kind": "sideways"}, {"context.reporter.kind": ""}]
)
def test_a_record_that_does_not_say_which_side_tells_stays_a_record(changes):
    record = log_record(attributes=[text(*pair) for pair in (ACCESS | changes).items()])
    assert decode(record).counts == {"logs": 1}


def test_a_record_without_an_outcome_stays_a_record():
    told = {key: value for key, value in ACCESS.items() if key != "response.code"}
    assert decode(log_record(attributes=[text(*pair) for pair in told.items()])).counts == {
        "logs": 1
    }


def test_records_and_requests_of_one_report_go_to_their_tables():
    decoded = decode(log_record(), entry(), log_record())
    assert decoded.counts == {"logs": 2, "requests": 1}


# --- JSON, and the front-end's look


def test_json_as_the_specification_shows_it():
    told = {
        "resourceLogs": [
            {
                "resource": {
                    "attributes": [{"key": "service.name", "value": {"stringValue": "s"}}]
                },
                "scopeLogs": [
                    {
                        "scope": {"name": "my.library", "version": "1.0.0"},
                        "logRecords": [
                            {
                                "timeUnixNano": str(NOW_NS),
                                "observedTimeUnixNano": NOW_NS,
                                "severityNumber": "SEVERITY_NUMBER_DEBUG2",
                                "severityText": "Debug",
                                "traceId": TRACE_ID.hex().upper(),
                                "spanId": SPAN_ID.hex(),
                                "body": {"stringValue": "Example"},
                                "attributes": [{"key": "n", "value": {"intValue": "7"}}],
                                "flags": None,
                            }
                        ],
                    }
                ],
            }
        ]
    }
    raw = json.dumps(told).encode()
    assert inspect_logs_json(raw, NOW_NS).rejected == 0
    row = only(decode_group([report(raw, Signal.OTLP_LOGS_JSON)], 1))
    assert (row["service"], row["scope"], row["severity"], row["body"]) == (
        "s",
        "my.library",
        6,
        "Example",
    )
    assert (row["trace_id"], row["attributes"]) == (TRACE_ID, {"n": "7"})


@settings(max_examples=150, deadline=None)
@given(log_requests)
def test_json_and_protobuf_give_the_same_rows_and_the_front_end_knew(messages):
    binary = [report(message, Signal.OTLP_LOGS) for message in messages]
    told = [report(as_json(message), Signal.OTLP_LOGS_JSON) for message in messages]
    first, second = decode_group(binary, 3), decode_group(told, 3)
    assert first.tables.get("logs") == second.tables.get("logs")
    refused = [(letter.reason, letter.detail) for letter in first.dead]
    assert refused == [(letter.reason, letter.detail) for letter in second.dead]
    assert first.counts.get("logs", 0) + len(refused) == 2 * len(messages)
    for inspect, reports in ((inspect_logs, binary), (inspect_logs_json, told)):
        seen = [inspect(one.body, NOW_NS) for one in reports]
        assert sum(found.items for found in seen) == 2 * len(messages)
        assert sum(found.rejected for found in seen) == len(refused)


@pytest.mark.parametrize("inspect", [inspect_logs, inspect_logs_json])
def test_what_is_no_request_is_malformed(inspect):
    with pytest.raises(Malformed, match="not an ExportLogsServiceRequest"):
        inspect(b"\xff", NOW_NS)


def test_a_record_that_cannot_be_read_costs_only_itself():
    bomb = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[7,{"timeUnixNano":"x"},{}]}]}]}'
    assert (inspect_logs_json(bomb, NOW_NS).items, inspect_logs_json(bomb, NOW_NS).rejected) == (
        3,
        2,
    )
    assert decode_group([report(bomb, Signal.OTLP_LOGS_JSON)], 1).counts == {
        "logs": 1,
        "dead_letters": 2,
    }


def test_a_bomb_of_records_is_refused():
    with pytest.raises(TooLarge, match="100000"):
        inspect_logs(logs(*[LogRecord()] * 100_001).SerializeToString(), NOW_NS)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(messages=log_requests)
def test_what_is_decoded_can_be_stored(store_url, messages):
    reports = [report(message, Signal.OTLP_LOGS) for message in messages]
    decoded = decode_group([*reports, report(logs(entry()), Signal.OTLP_LOGS)], 3)
    token = f"example:{next(EXAMPLES)}"
    with Store(store_url) as store:
        before = {table: count(store, table) for table in decoded.tables}
        for table, columns in decoded.tables.items():
            store.insert(table, columns, token=token)
        after = {table: count(store, table) for table in decoded.tables}
    assert {table: after[table] - before[table] for table in after} == decoded.counts


def count(store, table):
    return store.rows(f"SELECT count() FROM {table}")[0][0]


def test_words_of_a_body_are_found_by_their_index(store):
    decoded = decode(*[log_record(body=AnyValue(string_value=f"Word{n} here")) for n in range(9)])
    store.insert("logs", decoded.tables["logs"], token="words")
    search = "FROM logs WHERE hasToken(lower(body), 'word7')"
    assert store.rows(f"SELECT body {search}") == [("Word7 here",)]
    plan = store.rows(f"EXPLAIN indexes = 1 SELECT body {search}")
    assert any("words" in line for (line,) in plan)
