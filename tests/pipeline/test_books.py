"""Accepted is stored, skipped, refused, discarded, pending and quarantined: the books add up."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from collector.frontends import als, otlp
from collector.model import Account, Signal
from collector.outbox import Outbox
from collector.outbox.books import MAX_CLIENTS, OTHERS
from collector.store.client import Store
from tests import plain_http
from tests.bad_input.live import LiveCollector
from tests.collector.messages import http_logs, identifier, span, traces
from tests.collector.otlp_messages import as_json
from tests.collector.reports import counter, log_record, logs, metrics, number_point
from tests.collector.zipkin_bodies import fresh, json_body
from tests.conftest import ValkeyProcess
from tests.counters import samples
from tests.pipeline.processes import running
from tests.pipeline.reports import append, lease, report
from tests.waiting import eventually

MIB = 1024 * 1024
JSON = {"content-type": "application/json"}
TABLES = ("spans", "requests", "logs", "metric_points", "decisions")


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path, 64 * MIB, ballast_bytes=MIB)
    yield outbox
    outbox.close()


def test_what_a_group_held_is_booked_by_sender_once_however_often_it_is_stored(outbox):
    append(outbox, report(b"1"), report(b"2", "b-1.default"), report(b"3", "b-1.default"))
    told = [
        Account(Signal.DECISIONS, "a-1.default", 1, 0, {}),
        Account(Signal.DECISIONS, "b-1.default", 0, 1, {"unreadable": 1}),
    ]
    group = outbox.freeze_group(MIB)
    assert [(entry.client, entry.pending) for entry in outbox.books()] == [
        ("a-1.default", 1),
        ("b-1.default", 2),
    ]
    assert outbox.mark_done(group, told)
    assert not outbox.mark_done(group, told)
    first, second = outbox.books()
    assert (first.accepted, first.stored, first.pending, first.difference) == (1, 1, 0, 0)
    assert (second.accepted, second.skipped, second.refused) == (2, 1, {"unreadable": 1})
    assert (second.reports, second.pending, second.difference) == (2, 0, 0)


def test_an_item_that_is_nowhere_is_a_difference(outbox):
    append(outbox, report(b"1"), report(b"2"))
    outbox.mark_done(outbox.freeze_group(MIB), [Account(Signal.DECISIONS, "a-1.default", 1, 0, {})])
    assert [entry.difference for entry in outbox.books()] == [1]


def test_what_is_quarantined_is_told_apart(outbox):
    append(outbox, report(b"poison"))
    group = outbox.freeze_group(MIB)
    outbox._file.connection.execute("UPDATE groups SET attempts = 8 WHERE id = ?", (group,))
    assert lease(outbox) == []
    (entry,) = outbox.books()
    assert (entry.accepted, entry.pending, entry.quarantined, entry.difference) == (1, 0, 1, 0)


def test_however_many_clients_there_are_the_books_have_an_end(outbox):
    sent = [report(b"1", f"node-{number}") for number in range(MAX_CLIENTS + 50)]
    append(outbox, *sent)
    group = outbox.freeze_group(MIB)
    outbox.mark_done(group, [Account(each.signal, each.identity, 1, 0, {}) for each in sent])
    entries = outbox.books()
    assert len(entries) == MAX_CLIENTS + 1
    assert {entry.client: entry.stored for entry in entries}[OTHERS] == 50
    assert not any(entry.difference for entry in entries)


def test_reports_of_a_version_that_counted_no_items_are_stored_and_in_no_books(tmp_path):
    older = Outbox(tmp_path / "older", 64 * MIB, ballast_bytes=MIB)
    append(older, report(b"1"))
    older._file.connection.execute("ALTER TABLE requests DROP COLUMN items")
    older.close()
    outbox = Outbox(tmp_path / "older", 64 * MIB, ballast_bytes=MIB)
    append(outbox, report(b"2"))
    group = outbox.freeze_group(MIB)
    assert [found.body for found in outbox.read_group(group)] == [b"1", b"2"]
    assert outbox.mark_done(group, [Account(Signal.DECISIONS, "a-1.default", 2, 0, {})])
    assert outbox.books() == []
    outbox.close()


class Mesh:
    """Clients of every protocol, some items of each of them refused or not to be stored."""

    def __init__(self, collector: LiveCollector) -> None:
        self.collector = collector
        self.accepted: dict[tuple[str, str], int] = {}

    def sent(self, signal: Signal, client: str, items: int) -> None:
        key = (signal.value, client)
        self.accepted[key] = self.accepted.get(key, 0) + items

    def post(
        self, path: str, body: bytes, client: str, signal: Signal, items: int, **headers: str
    ) -> None:
        told = {"content-type": "application/x-protobuf", "x-mesh-node": client} | headers
        for _ in range(2):  # a repetition is in no books
            answer = plain_http.post(f"{self.collector.url}{path}", content=body, headers=told)
            assert answer.is_success, answer.text
        self.sent(signal, client, items)

    def send(self) -> None:
        bad = span(span_id=b"")
        for client in ("a-1.default", "b-1.default"):
            body = traces(span(), span(), bad)
            self.post("/v1/traces", body, client, Signal.OTLP_TRACES, 3)
        deep = counter(number_point(), number_point(time_unix_nano=1))
        fresh_name = os.urandom(8).hex()
        told = metrics(deep, service__name=fresh_name).SerializeToString()
        self.post("/v1/metrics", told, "a-1.default", Signal.OTLP_METRICS, 2)
        body = as_json(logs(log_record(), log_record(time_unix_nano=1), service__name=fresh_name))
        self.post("/v1/logs", body, "a-1.default", Signal.OTLP_LOGS_JSON, 2, **JSON)
        spans = json_body(fresh(), fresh(kind="CLIENT"), fresh(traceId="zz"))
        self.post("/api/v2/spans", spans, "b-1.default", Signal.ZIPKIN_JSON, 3, **JSON)
        call = self.collector.channel.unary_unary(otlp.PATH)
        call(traces(span(), bad), metadata=(("x-mesh-node", "c-1.default"),))
        self.sent(Signal.OTLP_TRACES, "c-1.default", 2)
        stream = self.collector.channel.stream_unary(als.PATH)
        message = http_logs("/1", "/2", sender=identifier())
        stream(iter([message]), metadata=(("x-mesh-node", "b-1.default"),))
        self.sent(Signal.ALS, "b-1.default", 2)


def reconciled(collector: LiveCollector) -> dict[str, Any]:
    answer: dict[str, Any] = plain_http.get(f"{collector.url}/api/v1/reconciliation").json()
    return answer


def test_books_of_every_protocol_are_exact_over_a_kill_and_agree_with_the_store(
    tmp_path: Path, valkey: ValkeyProcess, store_url: str
) -> None:
    collector = LiveCollector(tmp_path, valkey.url, clickhouse_url=store_url, broker_url=valkey.url)
    try:
        mesh = Mesh(collector)
        mesh.send()
        assert reconciled(collector)["balanced"]
        collector.kill()
        collector.start()
        mesh.send()
        with running("worker", collector.settings, tmp_path):
            eventually(lambda: reconciled(collector)["total"]["pending"] == 0, timeout_s=60)
        found = reconciled(collector)
        assert found["balanced"], found
        accepted = {(told["signal"], told["client"]): told["accepted"] for told in found["clients"]}
        assert accepted == mesh.accepted
        total = found["total"]
        assert total["accepted"] == sum(mesh.accepted.values())
        assert total["refused"] == {"bad_span_id": 6, "no_time": 4, "bad_trace_id": 2}
        assert found["door"]["otlp_grpc"] == {"messages": 1, "dropped": {}}
        with Store(store_url) as store:
            stored = sum(store.rows(f"SELECT count() FROM {table}")[0][0] for table in TABLES)
            ((dead,),) = store.rows("SELECT count() FROM dead_letters")
        assert (stored, dead) == (total["stored"], sum(total["refused"].values()))
        scraped = samples(plain_http.get(f"{collector.url}/metrics").text)
        for told in found["clients"]:
            labels = {"signal": told["signal"], "client": told["client"], "reason": ""}
            for state in ("accepted", "stored", "pending", "difference"):
                key = tuple(sorted((labels | {"state": state}).items()))
                assert scraped["meshmeter_items", key] == told[state]
        shown = CliRunner(env=collector.settings.to_environ()).invoke(app, ["reconcile"])
        assert shown.exit_code == 0, shown.output
        assert shown.output.splitlines()[-1].startswith(f"balanced: {total['accepted']} accepted")
    finally:
        collector.kill()
