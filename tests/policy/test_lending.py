"""What other collectors hold of a quota is shown, and taken from them when a counter is reset."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from policy.quota.counters import RedisCounters
from policy.quota.leased import LeasedCounters
from policy.quota.lending import Lending
from tests.policy.holding import LIMIT, QUOTA, take_of
from tests.waiting import soon


@contextmanager
def holders(url: str, rule: str, count: int = 2) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "tests.policy.holding", url, rule]
    found = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)
        for _ in range(count)
    ]
    try:
        yield found
    finally:
        for process in found:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@asynccontextmanager
async def counters_at(url: str) -> AsyncIterator[LeasedCounters]:
    shared, lending = RedisCounters(url), Lending(url)
    yield LeasedCounters(shared, lending=lending)
    await lending.close()
    await shared.close()


def test_what_others_hold_is_shown_not_given_back_by_a_grant_and_ended_by_a_reset(
    redis_url: str,
) -> None:
    rule = f"q-{uuid.uuid4().hex[:8]}"

    async def story() -> None:
        with holders(redis_url, rule) as processes:
            told = [[*map(int, line(process).split())] for process in processes]
            charged, held = (sum(column) for column in zip(*told, strict=True))
            async with counters_at(redis_url) as counters:

                async def shown() -> bool:
                    (use,) = (await counters.usage(rule, {"0": QUOTA})).entries
                    return (use.used, use.leased) == (charged + held, held)

                await soon(shown)
                await counters.grant(take_of(rule, -LIMIT))
                (use,) = (await counters.usage(rule, {"0": QUOTA})).entries
                assert (use.used, use.leased) == (held, held)

                assert await counters.reset([take_of(rule).key]) == 1
                await counters.charge((take_of(rule, 7)._replace(leased=False),), 5)
                assert [line(process) for process in processes] == ["gone", "gone"]
                assert [process.wait() for process in processes] == [0, 0]
                # Nothing of what they held came back to the counter that began anew.
                (use,) = (await counters.usage(rule, {"0": QUOTA})).entries
                assert (use.used, use.leased) == (7, 0)

    asyncio.run(story())


def test_a_collector_that_was_killed_holds_nothing_soon(redis_url: str) -> None:
    rule = f"q-{uuid.uuid4().hex[:8]}"

    async def story() -> None:
        async with counters_at(redis_url) as counters:

            async def leased(some: bool) -> bool:
                entries = (await counters.usage(rule, {"0": QUOTA})).entries
                return bool(entries) and (entries[0].leased > 0) == some

            with holders(redis_url, rule, 1) as (process,):
                line(process)
                await soon(lambda: leased(True))
            await soon(lambda: leased(False))

    asyncio.run(story())
