"""Statsd over UDP: what is sent becomes reports, one for each sender and interval."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from collector.decoders import decode_group
from collector.errors import InvalidSetting
from collector.frontends import statsd
from collector.model import Signal
from collector.settings import Settings
from collector.transport.datagrams import datagram_socket, lost_datagrams
from tests.collector.keeping import MIB, Keeping
from tests.collector.listening import Served
from tests.counters import Counters
from tests.waiting import eventually

SETTINGS = Settings(statsd="127.0.0.1:0", statsd_flush_s=3600)


class Sender:
    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.to = host, int(port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(self, *datagrams: bytes) -> None:
        """Returns when all are counted, and so added up."""
        counters = Counters()
        for datagram in datagrams:
            self.socket.sendto(datagram, self.to)
        eventually(lambda: counters.moved("statsd_datagrams") >= len(datagrams))


@contextmanager
def served(keeping: Keeping, settings: Settings = SETTINGS) -> Iterator[tuple[Served, Sender]]:
    server = Served(statsd.listening, keeping.services, settings)
    sender = Sender(server.address)
    try:
        yield server, sender
    finally:
        sender.socket.close()
        server.stop()


def points(keeping: Keeping) -> dict[str, dict[str, object]]:
    """The points in the outbox, by metric."""
    reports = keeping.reports()
    decoded = decode_group(reports, 1)
    assert decoded.dead == []
    table = decoded.tables.get("metric_points", {})
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    return {str(row["metric"]): row for row in rows}


def test_all_kinds_become_points_of_their_kind(keeping):
    before_ns = time.time_ns()
    with served(keeping) as (server, sender):
        sender.send(
            b"hits:1|c\nhits:2|c|@0.5\n\nhits:1|c|#service:cart,zone:a\r\n",
            b"depth:7|g",
            b"users:ada|s\nusers:bob|s",
            b"took:100|ms\ntook:200|ms",
            b"size:1|h",
        )
        server.stop()
    reports = keeping.reports()
    assert [(one.signal, one.identity) for one in reports] == [(Signal.OTLP_METRICS, "127.0.0.1")]
    decoded = decode_group(reports, 1)
    table = decoded.tables["metric_points"]
    told = {
        (metric, service): (kind, temporality, value or observations, unit)
        for metric, service, kind, temporality, value, observations, unit in zip(
            *(
                table[name]
                for name in (
                    "metric",
                    "service",
                    "kind",
                    "temporality",
                    "double",
                    "observations",
                    "unit",
                )
            ),
            strict=True,
        )
    }
    assert told == {
        ("hits", "unknown"): ("sum", "delta", 5.0, ""),
        ("hits", "cart"): ("sum", "delta", 1.0, ""),
        ("depth", "unknown"): ("gauge", "none", 7.0, ""),
        ("users", "unknown"): ("gauge", "none", 2.0, ""),
        ("took", "unknown"): ("exponential_histogram", "delta", 2, "ms"),
        ("size", "unknown"): ("exponential_histogram", "delta", 1, ""),
    }
    assert {"zone": "a", "service": "cart"} in table["attributes"]
    assert set(table["node"]) == {"127.0.0.1"}
    assert all(
        before_ns <= start < end for start, end in zip(table["start"], table["time"], strict=True)
    )


def test_each_interval_is_a_report(keeping):
    with served(keeping, replace(SETTINGS, statsd_flush_s=0.05)) as (_, sender):
        for _ in range(2):
            sender.send(b"hits:1|c")
            found = eventually(lambda: points(keeping))
            assert found["hits"]["double"] == 1


def test_nothing_said_is_nothing_reported(keeping):
    with served(keeping) as (_, sender):
        sender.send(b"", b"\n\n", b"nonsense")
    assert keeping.reports() == []


def test_bad_lines_are_counted_by_reason_and_the_others_are_kept(keeping):
    counters = Counters()
    with served(keeping) as (server, sender):
        sender.send(b"hits:1|c\nhits:x|c\nhits:1|c|@7\nhits\nhits:1|q\n_sc|up|0\nhits:1|c")
        server.stop()
    assert points(keeping)["hits"]["double"] == 2
    assert counters.moved("statsd_lines") == 7
    reasons = ("bad_value", "bad_rate", "malformed", "unknown_type", "not_a_metric")
    assert [counters.moved("statsd_lines_dropped", reason=reason) for reason in reasons] == [1] * 5


def test_what_the_kernel_holds_at_the_end_is_taken(keeping):
    """Sent and not waited for: some of it is read by the loop, the rest at the stop."""
    with served(keeping) as (server, sender):
        for _ in range(100):
            sender.socket.sendto(b"hits:1|c", sender.to)
        server.stop()
    assert points(keeping)["hits"]["double"] == 100


def test_reports_wait_while_the_outbox_is_full(tmp_path: Path):
    keeping = Keeping(tmp_path / "small", max_bytes=2 * MIB)
    counters = Counters()
    with served(keeping, replace(SETTINGS, statsd_flush_s=0.05)) as (server, sender):
        sent = 0
        while not counters.moved("reports_refused", signal="otlp-metrics"):
            lines = [b"%s%d:1|c" % (b"n" * 800, number) for number in range(sent, sent + 60)]
            sender.send(b"\n".join(lines))
            sent += len(lines)
        found = set(points(keeping))
        eventually(lambda: found.update(points(keeping)) or len(found) == sent)
        server.stop()
    assert counters.moved("frontend_items", protocol="statsd") == sent
    assert counters.moved("frontend_messages_dropped", protocol="statsd") == 0
    keeping.outbox.close()


def test_what_still_waits_at_the_end_is_told_to_be_lost(tmp_path: Path):
    keeping = Keeping(tmp_path / "outbox")
    counters = Counters()
    with served(keeping) as (server, sender):
        sender.send(b"hits:1|c")
        keeping.outbox.close()
        server.stop()
    lost = counters.moved("frontend_messages_dropped", protocol="statsd", reason="overloaded")
    assert lost == counters.moved("frontend_messages", protocol="statsd") == 1


def test_messages_and_points_add_up(keeping):
    counters = Counters()
    with served(keeping) as (server, sender):
        sender.send(b"hits:1|c\ndepth:1|g")
        server.stop()
    (report,) = keeping.reports()
    assert counters.moved("frontend_messages", protocol="statsd") == 1
    assert counters.moved("frontend_items", protocol="statsd") == 2
    assert counters.moved("frontend_bytes", protocol="statsd") == len(report.body)


def test_it_listens_nowhere_unless_told_to(keeping):
    server = Served(statsd.listening, keeping.services, replace(SETTINGS, statsd=""))
    server.stop()
    assert server.address == ""


def test_an_address_that_cannot_be_had_is_named(keeping):
    async def listen() -> None:
        async with statsd.listening(keeping.services, replace(SETTINGS, statsd="192.0.2.1:8125")):
            pass

    with pytest.raises(InvalidSetting, match=r"192\.0\.2\.1:8125"):
        asyncio.run(listen())


def test_what_the_kernel_drops_is_counted():
    with datagram_socket("127.0.0.1:0") as sock, socket.socket(type=socket.SOCK_DGRAM) as sender:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert lost_datagrams(sock) == 0
        for _ in range(100):
            sender.sendto(bytes(1000), sock.getsockname())
        lost = lost_datagrams(sock)
        assert 0 < lost < 100
        taken = 0
        try:
            while True:
                taken += bool(sock.recv(2000))
        except BlockingIOError:
            assert taken + lost == 100
    assert lost_datagrams(sock) == 0
