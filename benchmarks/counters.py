"""What counters cost, and how late they answer while their server hangs.

    python -m benchmarks.counters

Starts a Valkey of its own. CPU microseconds a charge: of this process, client and event loop
together, and those the server says its script took. Each cell is the least of the rounds. A full
counter holds something in each of its slots. While the server is stopped every charge ends by its
deadline, or at once by the breaker; times are given as parts of the deadline, beside those of
timers that wait for nothing.
"""

import asyncio
import gc
import itertools
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop
from redis.asyncio import Redis

from embedded.valkey import valkey_command
from policy.errors import CountersDown
from policy.quota import ALGORITHMS, Counters, Grant, Quota, Take
from policy.quota.breaker import Breaker
from policy.quota.counters import RedisCounters
from policy.quota.leased import LeasedCounters

MANY = 10**12
SECOND_US = 1_000_000
KEYS = 500
CHARGES, ROUNDS = 8_192, 5
AT_ONCE = (1, 16, 256)
HUNG_CHARGES, HUNG_AT_ONCE = 4_096, 64
DEADLINES_S = (0.008, 0.025)

Charge = Callable[[tuple[Take, ...], float], Awaitable[list[Grant]]]


def quota_of(name: str) -> Quota:
    if name == "calendar-window":
        return Quota(name, MANY, 0, MANY, unit="month", time_zone="Europe/Berlin")
    return Quota(
        name, MANY, 60 * SECOND_US, MANY, SECOND_US // 10 if name == "rolling-window" else 0
    )


@contextmanager
def valkey() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        command = valkey_command(Path(directory), "127.0.0.1", port)
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield f"redis://127.0.0.1:{port}/0", server
        finally:
            server.kill()
            server.wait()


async def ready(url: str) -> RedisCounters:
    counters = RedisCounters(url)
    while True:
        try:
            await counters.check_server()
        except CountersDown:
            await asyncio.sleep(0.05)
        else:
            return counters


async def cost_us(
    counters: Counters, client: "Redis[bytes]", takes: list[tuple[Take, ...]], at_once: int
) -> tuple[float, float]:
    """Of this process and of the script."""
    found = []
    for _ in range(ROUNDS):
        await client.config_resetstat()
        turns = itertools.cycle(takes)

        async def caller(turns: Iterator[tuple[Take, ...]], times: int) -> None:
            for _ in range(times):
                await counters.charge(next(turns), 5)

        began = time.process_time()
        await asyncio.gather(*(caller(turns, CHARGES // at_once) for _ in range(at_once)))
        mine = time.process_time() - began
        stats = (await client.info("commandstats")).get("cmdstat_evalsha", {"usec": 0})
        found.append((mine / CHARGES * 1e6, stats["usec"] / CHARGES))
    return min(mine for mine, _ in found), min(script for _, script in found)


async def costs(url: str) -> None:
    counters, client = await ready(url), Redis.from_url(url)
    heads = "".join(f"{f'{number} at once':>18}" for number in AT_ONCE)
    print(f"{'CPU µs a charge: here + script':<34}{heads}")
    for name in ALGORITHMS:
        quota = quota_of(name)
        takes = [(Take(f"mm:q:bench:0:{name}:{key}", quota, 1),) for key in range(KEYS)]
        await row(name, counters, client, takes)
    leased = LeasedCounters(counters)
    quota = quota_of("token-bucket")
    takes = [(Take(f"mm:q:bench:0:t:leased{key}", quota, 1, leased=True),) for key in range(10)]
    await row("token-bucket, 10 keys, leased", leased, client, takes)
    await leased.give_back()
    now_us = [time.time_ns() // 1000]
    later = RedisCounters(url, clock_us=lambda: now_us[0])
    for name, slots, step_us in (("rolling-window", 600, 100_000), ("concurrency", 100, 600_000)):
        take = Take(f"mm:q:bench:0:{name}:full", quota_of(name), 1)
        for _ in range(slots):
            now_us[0] += step_us
            await later.charge((take,), 5)
        await row(f"{name}, {slots} slots full", later, client, [(take,)])
    await later.close()
    await counters.close()
    await client.aclose()


async def row(
    name: str, counters: Counters, client: "Redis[bytes]", takes: list[tuple[Take, ...]]
) -> None:
    cells = [await cost_us(counters, client, takes, at_once) for at_once in AT_ONCE]
    print(f"{name:<34}" + "".join(f"{mine:>10.1f} +{script:>6.1f}" for mine, script in cells))


async def hung(url: str, stop: Callable[[], None]) -> None:
    patient = RedisCounters(url, breaker=Breaker(fails=10**9))
    usual = await ready(url)
    await patient.check_server()
    stop()
    print(f"\n{'answered by, in deadlines':<34}{'p50':>8}{'p99':>8}{'p99.9':>8}{'most':>8}")
    asked = (
        ("a bare timer", timer),
        ("counters", patient.charge),
        ("counters with the breaker", usual.charge),
    )
    for name, charge in asked:
        for deadline_s in DEADLINES_S:
            took = [at / deadline_s for at in await answered_s(charge, deadline_s)]
            points = statistics.quantiles(took, n=1000, method="inclusive")
            cells = (points[499], points[989], points[998], max(took))
            label = f"{name}, {deadline_s * 1000:.0f} ms"
            print(f"{label:<34}" + "".join(f"{cell:>8.2f}" for cell in cells))
    await usual.close()
    await patient.close()


async def timer(_: tuple[Take, ...], deadline_s: float) -> list[Grant]:
    """What a deadline takes on this machine, as busy as it is."""
    answer: asyncio.Future[list[Grant]] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(deadline_s, answer.set_exception, CountersDown())
    return await answer


async def answered_s(charge: Charge, deadline_s: float) -> list[float]:
    took: list[float] = []

    async def caller(number: int) -> None:
        take = (Take(f"mm:q:bench:0:t:{number}", quota_of("token-bucket"), 1),)
        for _ in range(HUNG_CHARGES // HUNG_AT_ONCE):
            began = time.perf_counter()
            try:
                await charge(take, deadline_s)
            except CountersDown:
                took.append(time.perf_counter() - began)
            await asyncio.sleep(0)

    await asyncio.gather(*(caller(number) for number in range(HUNG_AT_ONCE)))
    if len(took) != HUNG_CHARGES:
        raise AssertionError(f"{HUNG_CHARGES - len(took)} were granted by a stopped server")
    return took


def main() -> None:
    gc.collect()
    gc.freeze()  # as a collector does
    with valkey() as (url, server):
        uvloop.run(costs(url))
        uvloop.run(hung(url, lambda: server.send_signal(signal.SIGSTOP)))


if __name__ == "__main__":
    main()
