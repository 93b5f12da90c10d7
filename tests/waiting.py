"""Waiting on a condition with a deadline, for tests."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Result = TypeVar("Result")


def eventually(
    condition: Callable[[], Result], timeout_s: float = 20, every_s: float = 0.05
) -> Result:
    """The condition's first true answer. Raises AssertionError with its last one."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"still {answer!r} after {timeout_s} s")
        time.sleep(every_s)


async def soon(condition: Callable[[], Awaitable[Result]], timeout_s: float = 20) -> Result:
    """As `eventually`, of what is to be awaited."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = await condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"still {answer!r} after {timeout_s} s")
        await asyncio.sleep(0.01)
