"""Statsd's datagrams that are wrong: each counted by its reason, and nothing else lost."""

import socket
from collections.abc import Iterator

import pytest

from collector.statsd.lines import MAX_LINE_BYTES
from tests.bad_input import bodies
from tests.bad_input.live import MIB, LiveCollector
from tests.counters import Counters
from tests.waiting import eventually

RISE = 100 * MIB


@pytest.fixture
def sender(collector: LiveCollector) -> Iterator[socket.socket]:
    host, _, port = collector.settings.statsd.rpartition(":")
    with socket.socket(type=socket.SOCK_DGRAM) as found:
        found.connect((host, int(port)))
        yield found


def sent(sender: socket.socket, counters: Counters, *datagrams: bytes) -> None:
    """Returns when all are counted."""
    for datagram in datagrams:
        sender.send(datagram)
    eventually(lambda: counters.moved("statsd_datagrams") >= len(datagrams))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"no value", "malformed"),
        (b":1|c", "malformed"),
        (b"n" * 1025 + b":1|c", "malformed"),
        (bodies.NOISE[:500].replace(b"\n", b"").replace(b":", b""), "malformed"),
        (b"a:1|", "unknown_type"),
        (b"a:1|zz", "unknown_type"),
        (b"a:one|c", "bad_value"),
        (b"a:nan|g", "bad_value"),
        (b"a:inf|ms", "bad_value"),
        (b"a:" + b"9" * 400 + b"|h", "bad_value"),
        (b"a:1|c|@0", "bad_rate"),
        (b"a:1|c|@1e-300", "bad_rate"),
        (b"a:1|c|#" + b"t" * MAX_LINE_BYTES, "too_long"),
        (b"_e{1,1}:a|b", "not_a_metric"),
    ],
    ids=lambda value: repr(value)[:32],
)
def test_a_bad_line_is_counted_and_its_neighbours_are_kept(
    collector: LiveCollector, sender: socket.socket, line: bytes, reason: str
) -> None:
    counters = collector.counters()
    sent(sender, counters, b"good:1|c\n" + line + b"\ngood:1|c")
    assert counters.moved("statsd_lines") == 3
    assert counters.moved("statsd_lines_dropped", reason=reason) == 1
    assert counters.moved("statsd_lines_dropped") == 1
    eventually(lambda: counters.moved("reports", signal="otlp-metrics") == 1)
    assert counters.moved("frontend_items", protocol="statsd") == 1


@pytest.mark.parametrize(
    "line",
    [
        b"<img src=x onerror=alert(1)>:1|c",
        b"'); DROP TABLE metric_points --:1|c",
        b"gr\xff:1|c|#k\xff:v\xfe",
        b"a:1|c|#,,,:x,_group:1",
        b"a:1.7976931348623157e308|g",
        b"a:1e308:1e308|ms",
        b"a:5e-324|h",
        b"a:|s",
    ],
    ids=repr,
)
def test_a_line_that_can_be_stored_is_taken(
    collector: LiveCollector, sender: socket.socket, line: bytes
) -> None:
    counters = collector.counters()
    sent(sender, counters, line)
    assert counters.moved("statsd_lines_dropped") == 0
    eventually(lambda: counters.moved("reports", signal="otlp-metrics") == 1)


@pytest.mark.parametrize(
    "datagram", [b"", b"\n" * 60_000, bytes(60_000)], ids=["0", "lines", "NUL"]
)
def test_a_datagram_of_nothing_is_nothing(
    collector: LiveCollector, sender: socket.socket, datagram: bytes
) -> None:
    counters = collector.counters()
    sent(sender, counters, datagram)
    assert counters.moved("reports") == 0


NEW = ("n{}:1|c", "h{}:1|ms", "t:{}e-300|ms", "s:{}|s", "g{}:+1|g", "c:1|c|#t:{}")


def test_a_flood_of_new_names_takes_little_memory(
    collector: LiveCollector, sender: socket.socket
) -> None:
    """Series, histograms, buckets, members of sets, gauges and tags."""
    counters, resident = collector.counters(), collector.reset_peak()
    for start in range(0, 25_500, 750):
        numbers = range(start, start + 750)
        lines = [line.format(number) for number in numbers for line in NEW]
        sent(sender, collector.counters(), "\n".join(lines).encode())
    assert counters.moved("statsd_lines") == 153_000
    assert collector.peak() - resident <= RISE
