"""Long computations in a thread, beside an event loop that has checks to answer.

A thread that computes gives others a turn every five milliseconds, and so each step of the loop
would take as long. The collector of cycles looks at all there is in one go, with all threads
stopped: seconds, where there are a hundred thousand rules (benchmarks/snapshots.py).
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TURN_S = 0.0005  # shorter ones cost more in switching than they gain


@contextmanager
def beside_the_loop() -> Iterator[None]:
    """For one thread at a time."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        sys.setswitchinterval(usual_s)


def keep_for_long() -> None:
    """What there is now is not looked at for cycles any more: rules have none, and are freed when
    nothing names them. Within `beside_the_loop`, or the look comes before this."""
    gc.freeze()


def let_go(things: list[Any]) -> None:
    """One by one: to free many at once takes one turn, however long."""
    while things:
        things.pop()
