"""What loading rules costs, and how long it keeps the event loop from answering.

python -m benchmarks.snapshots [RULES ...]

Rules each for a destination of its own, in SQLite: all of them loaded, then one changed and loaded.
How late the loop comes back says also what else the machine does: the line before is of a loop that
waits for nothing.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import psutil
import uvloop

from collector.snapshots import SnapshotKeeper
from migrations.rules import migrate_rules
from policy.acts import Document
from policy.engine import Engine
from policy.quota.memory import MemoryCounters
from policy.rules import AnyRule, rule_from_json, rule_to_json
from policy.store import RuleStore

COUNTS = (1_000, 20_000, 100_000)
TICK_S = 0.001
IDLE_S = 1.0
HEAD = f"{'':22}{'CPU s':>9}{'µs/rule':>9}{'loop late ms: p50':>19}{'p99':>7}{'max':>7}"


def rule(number: int) -> Document:
    match = (
        f'destination.service == "s{number}.default" && source.service == "web.default"'
        ' && request.path.startsWith("/cart")'
    )
    quota = {"kind": "quota", "name": f"q{number}", "match": match, "limit": 100, "window": 1}
    return rule_to_json(rule_from_json(quota))


def raised(rule: AnyRule) -> AnyRule:
    return rule.model_copy(update={"priority": rule.priority + 1})


async def late_ms(until: asyncio.Event) -> list[float]:
    """How much later than asked the loop came back, each time, sorted."""
    found = []
    while not until.is_set():
        began = time.perf_counter()
        await asyncio.sleep(TICK_S)
        found.append((time.perf_counter() - began - TICK_S) * 1e3)
    return sorted(found)


async def measured(count: int, what: str, work: Awaitable[None]) -> None:
    done = asyncio.Event()
    ticking = asyncio.create_task(late_ms(done))
    await asyncio.sleep(0.1)
    cpu = time.process_time()
    await work
    cpu = time.process_time() - cpu
    done.set()
    late = await ticking
    p50, p99 = (late[int(len(late) * share)] for share in (0.5, 0.99))
    each = cpu / count * 1e6
    print(f"{count:>8}{what:>14}{cpu:>9.2f}{each:>9.1f}{p50:>19.1f}{p99:>7.1f}{late[-1]:>7.1f}")


def seed(url: str, count: int) -> None:
    migrate_rules(url)
    store = RuleStore(url)
    store.apply({f"q{number}": rule(number) for number in range(count)})
    store.close()


async def run(count: int) -> None:
    memory = psutil.Process().memory_info
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        url = f"sqlite:///{directory}/rules.sqlite"
        with ProcessPoolExecutor(1, get_context("spawn")) as other:  # whose memory is not counted
            other.submit(seed, url, count).result()
        store = RuleStore(url)
        keeper = SnapshotKeeper(Engine(MemoryCounters()), store, directory, 3600)
        before = memory().rss
        await measured(count, "none of them", asyncio.sleep(IDLE_S))
        await measured(count, "all of them", keeper.refresh())
        grown = memory().rss - before
        store.update("q0", raised)
        await measured(count, "one of them", keeper.refresh())
        print(f"{'':>8}{'memory':>14}{grown / 1e6:>9.0f} MB, {grown / count / 1e3:.1f} kB/rule")
        await keeper.close()
        store.close()


if __name__ == "__main__":
    print(HEAD)
    for each in map(int, sys.argv[1:] or COUNTS):
        uvloop.run(run(each))
