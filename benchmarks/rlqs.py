"""CPU time of sidecars that count by themselves: of the collector, for each report it gets.

    python benchmarks/rlqs.py [--seconds 10] [--rate 100] [--against DIRECTORY]

The server is a process of its own with the real front-end and a Valkey of its own. Sidecars report
five times as often as Envoy does, each at its own time; every one has as many buckets as it says,
and every bucket shares one quota with the same bucket of all others. Of half of the limit nothing
is denied; of twice the limit half is, which is split anew with each report and recorded. A request
costs its part of a report, at the given rate of requests of one sidecar. Another checkout, say of
an earlier commit, is measured in turn, case by case.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOME = Path(os.environ.get("RLQS_CHECKOUT") or Path(__file__).resolve().parent.parent)
sys.path.insert(0, str(HOME))

import grpc  # noqa: E402
import uvloop  # noqa: E402

from collector.checker import EngineChecker  # noqa: E402
from collector.decisions.log import DecisionLog  # noqa: E402
from collector.frontends.envoy_rlqs import PATH, grpc_methods  # noqa: E402
from collector.model import Report  # noqa: E402
from collector.proto import envoy_rlqs_pb2 as pb  # noqa: E402
from collector.services import Services  # noqa: E402
from collector.settings import Settings  # noqa: E402
from collector.shares import QuotaSharing, UsageRecorder  # noqa: E402
from collector.transport.asgi import Door  # noqa: E402
from collector.transport.server import serve  # noqa: E402
from embedded.valkey import valkey_command  # noqa: E402
from launch.embedded import valkey_ready  # noqa: E402
from policy.engine import Engine  # noqa: E402
from policy.kinds import QuotaRule  # noqa: E402
from policy.quota.memory import MemoryCounters  # noqa: E402
from policy.quota.shares import RedisShares  # noqa: E402
from policy.snapshot import compile_snapshot  # noqa: E402
from tests.conftest import free_port  # noqa: E402
from tests.waiting import eventually  # noqa: E402

CASES = ((1, 1), (20, 1), (200, 1), (20, 50))  # sidecars, and buckets of each
WANTED = (0.5, 2.0)  # times the limit, by all sidecars together
ENVOYS_S, OURS_S = 5.0, 1.0  # between reports
LIMIT = 10_000


class Nowhere:
    async def report(self, report: Report) -> None:
        """Decision records cost the outbox, which is measured elsewhere."""


async def no_page(_scope: Any, _receive: Any, _send: Any) -> None:
    """There is nothing behind the door."""


async def serve_rlqs(redis_url: str) -> None:
    rule = QuotaRule(
        name="q", limit=LIMIT, window=1, dimensions=('ratelimit.descriptor["bucket"]',)
    )
    engine = Engine(MemoryCounters(), compile_snapshot([rule], version=1))
    decisions = DecisionLog(Nowhere())
    sharing = QuotaSharing(engine, RedisShares(redis_url), UsageRecorder(decisions, 0.01))
    services = Services(EngineChecker(engine, decisions, 0.01), Nowhere(), sharing)
    await serve(
        Door(grpc_methods(services, Settings()), {}, {}, no_page),
        ["127.0.0.1:0"],
        asyncio.Event(),
        started=lambda bound: print(bound[0][1], flush=True),
    )


def reports(buckets: int, seconds: float, used: int, denied: int = 0) -> bytes:
    message = pb.RateLimitQuotaUsageReports(domain="bench")
    for number in range(buckets):
        usage = message.bucket_quota_usages.add(num_requests_allowed=used - denied)
        usage.num_requests_denied = denied
        usage.time_elapsed.seconds = int(seconds)
        usage.bucket_id.bucket["bucket"] = b"b%d" % number
    return message.SerializeToString()


class Sidecars:
    """All of a case, on their own streams of few connections."""

    def __init__(self, address: str, count: int, buckets: int, wanted: float) -> None:
        self.sent = 0
        self._wanted = wanted
        self._address = address
        self._count = count
        self._buckets = buckets

    async def run(self) -> None:
        channels = [grpc.aio.insecure_channel(self._address) for _ in range(min(self._count, 8))]
        streams = (self._stream(channels[n % len(channels)], n) for n in range(self._count))
        try:
            await asyncio.gather(*streams)
        finally:
            for channel in channels:
                await channel.close()

    async def _stream(self, channel: Any, number: int) -> None:
        first = reports(self._buckets, 0, 1)
        used = int(self._wanted * LIMIT / self._count * OURS_S)
        denied = int(max(self._wanted - 1, 0) * LIMIT / self._count * OURS_S)
        other = reports(self._buckets, OURS_S, used, denied)

        async def messages() -> AsyncIterator[bytes]:
            await asyncio.sleep(OURS_S * number / self._count)
            yield first
            while True:
                await asyncio.sleep(OURS_S)
                self.sent += 1
                yield other

        call = channel.stream_stream(PATH)
        async for _ in call(messages(), metadata=(("x-mesh-node", f"s-{number}.bench"),)):
            """What it is told makes no difference here."""


def cpu_s(pid: int) -> float:
    """Of a process and all its threads, to the nanosecond: Linux's clock of another process."""
    return time.clock_gettime((~pid << 3) | 2)


async def measure(
    pid: int, address: str, case: tuple[int, int], wanted: float, seconds: float
) -> float:
    """Microseconds a report."""
    sidecars = Sidecars(address, *case, wanted)
    running = asyncio.create_task(sidecars.run())
    await asyncio.sleep(3 * OURS_S)
    before, sent = cpu_s(pid), sidecars.sent
    await asyncio.sleep(seconds)
    spent, sent = cpu_s(pid) - before, sidecars.sent - sent
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return spent / sent * 1e6


@contextmanager
def running(redis_url: str, home: Path) -> Iterator[tuple[int, str]]:
    command = [sys.executable, __file__, "--serve", redis_url]
    process = subprocess.Popen(
        command,
        env=os.environ | {"RLQS_CHECKOUT": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.pid, f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def valkey() -> Iterator[str]:
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        command = valkey_command(Path(directory), "127.0.0.1", port)
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        ready = valkey_ready("127.0.0.1", port)
        eventually(lambda: not ready())
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()
            server.wait()


def one_case(home: Path, case: tuple[int, int], wanted: float, seconds: float) -> float:
    with valkey() as redis_url, running(redis_url, home) as (pid, address):
        return asyncio.run(measure(pid, address, case, wanted, seconds))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of each case")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second of a sidecar")
    parser.add_argument("--against", type=Path, metavar="DIRECTORY", help="another checkout")
    parser.add_argument("--serve", metavar="REDIS_URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve_rlqs(options.serve))
        return 0
    homes = [HOME, *([options.against.resolve()] if options.against else [])]
    print(f"collector's CPU µs; a request at {options.rate:g} a second and sidecar")
    header = f"{'sidecars':>8} {'buckets':>8} {'wanted':>8} {'a report':>9} {'a request':>10}"
    print(header + (f" {'there':>9} {'ratio':>6}" if options.against else ""))
    for case in CASES:
        for wanted in WANTED:
            found = [one_case(home, case, wanted, options.seconds) for home in homes]
            request = found[0] / (options.rate * ENVOYS_S)
            line = f"{case[0]:>8} {case[1]:>8} {wanted:>7g}x {found[0]:>9.0f} {request:>10.2f}"
            there = "".join(f" {other:>9.0f} {found[0] / other:>6.2f}" for other in found[1:])
            print(line + there, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
