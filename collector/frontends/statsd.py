"""Statsd over UDP: counters, gauges, timers, histograms and sets, as statsd or Datadog write them.

Nobody is answered: a datagram that is lost is lost unseen. What comes is added up, and at the end
of each interval every sender's is put into the outbox as an OTLP request of its own. While the
outbox is full such requests wait, the oldest giving way to new ones beyond `WAITING_BYTES`.
"""

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from prometheus_client import Counter, Gauge

from collector.errors import Overloaded
from collector.frontends.counted import MESSAGES, dropped, stored
from collector.model import Report, Signal
from collector.services import Reporter, Services
from collector.settings import Settings
from collector.statsd.aggregates import Aggregates, Flushed
from collector.statsd.lines import BadLine, samples
from collector.transport.datagrams import datagram_socket, lost_datagrams

log = logging.getLogger(__name__)

PROTOCOL = "statsd"
WAITING_BYTES = 16 * 1024 * 1024
MAX_DATAGRAM_BYTES = 64 * 1024
LAST_DATAGRAMS = 10_000

DATAGRAMS = Counter("meshmeter_statsd_datagrams", "datagrams received")
LINES = Counter("meshmeter_statsd_lines", "lines of these, empty ones left out")
LINES_DROPPED = Counter(
    "meshmeter_statsd_lines_dropped", "of these, those that were not added up", ["reason"]
)
LOST = Gauge(
    "meshmeter_statsd_datagrams_lost",
    "datagrams the kernel had no room for since it listens; senders are not told",
)

Waiting = tuple[Report, int]  # and how many points it has


class Statsd(asyncio.DatagramProtocol):
    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._aggregates = Aggregates()
        self._since_ns = time.time_ns()
        self._waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        DATAGRAMS.inc()
        for line in data.split(b"\n"):
            line = line.rstrip(b"\r")
            if line:
                self._take(line, addr[0])

    def _take(self, line: bytes, sender: str) -> None:
        LINES.inc()
        try:
            for sample in samples(line):
                self._aggregates.add(sender, sample)
        except BadLine as error:
            LINES_DROPPED.labels(error.reason).inc()

    async def flush(self) -> None:
        """All that was added, and what waited before it, into the outbox as far as it takes it."""
        start_ns, self._since_ns = self._since_ns, time.time_ns()
        for flushed in self._aggregates.flush(start_ns, self._since_ns):
            self._wait(flushed)
        waiting, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        taken = await asyncio.gather(*(self._send(report, points) for report, points in waiting))
        for one, done in zip(waiting, taken, strict=True):
            if not done:
                self._keep(one)

    def _wait(self, flushed: Flushed) -> None:
        MESSAGES.labels(PROTOCOL).inc()
        report = Report(
            Signal.OTLP_METRICS, flushed.body, self._since_ns, flushed.sender, flushed.points
        )
        self._keep((report, flushed.points))
        while self._waiting_bytes > WAITING_BYTES:
            report, _ = self._waiting.popleft()
            self._waiting_bytes -= len(report.body)
            dropped(PROTOCOL, "overloaded")

    def _keep(self, one: Waiting) -> None:
        self._waiting.append(one)
        self._waiting_bytes += len(one[0].body)

    async def _send(self, report: Report, points: int) -> bool:
        try:
            await self._reporter.report(report)
        except Overloaded:
            return False
        stored(PROTOCOL, len(report.body), points)
        return True

    def give_up(self) -> None:
        """What still waits is lost."""
        for _ in self._waiting:
            dropped(PROTOCOL, "overloaded")
        if self._waiting:
            log.warning(
                "The outbox did not take the last of statsd", extra={"reports": len(self._waiting)}
            )


async def flush_always(statsd: Statsd, interval_s: float, stop: asyncio.Event) -> None:
    """To the end, which is a flush too."""
    while not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(interval_s):
                await stop.wait()
        await statsd.flush()


def take_what_is_there(statsd: Statsd, sock: socket.socket) -> None:
    """What the kernel holds already, when nothing reads it any more."""
    with suppress(BlockingIOError):
        for _ in range(LAST_DATAGRAMS):
            statsd.datagram_received(*sock.recvfrom(MAX_DATAGRAM_BYTES))


@asynccontextmanager
async def listening(services: Services, settings: Settings) -> AsyncIterator[str]:
    """Gives the address in use, "" when none is set. Raises InvalidSetting."""
    if not settings.statsd:
        yield ""
        return
    sock = datagram_socket(settings.statsd)
    LOST.set_function(lambda: lost_datagrams(sock))
    host, port = sock.getsockname()[:2]
    statsd = Statsd(services.reporter)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: statsd, sock=sock
    )
    stop = asyncio.Event()
    flushing = asyncio.create_task(flush_always(statsd, settings.statsd_flush_s, stop))
    log.info("Taking statsd", extra={"address": f"{host}:{port}"})
    try:
        yield f"{host}:{port}"
    finally:
        take_what_is_there(statsd, sock)
        transport.close()
        stop.set()
        await flushing
        statsd.give_up()
