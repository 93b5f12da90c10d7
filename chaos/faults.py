"""What is done to the processes, and in which order."""

import random
import signal
import threading
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from redis import Redis
from redis.exceptions import RedisError

from launch.supervisor import Supervisor


class Kind(StrEnum):
    KILL = "kill"  # SIGKILL
    PAUSE = "pause"  # SIGSTOP, and SIGCONT some seconds later
    TERMINATE = "terminate"  # SIGTERM
    FORGET = "forget"  # the broker loses everything it holds


TARGETS = ("collector", "worker", "valkey", "store", "beat")
EVERY = (
    *(pair for pair in product((Kind.KILL, Kind.PAUSE, Kind.TERMINATE), TARGETS)),
    (Kind.FORGET, "valkey"),
)


class Fault(NamedTuple):
    kind: Kind
    target: str
    pause_s: float = 0.0  # of a PAUSE
    after_s: float = 0.0  # how long nothing is done afterwards

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"


def planned(count: int, seed: int) -> Iterator[Fault]:
    """Every kind on every target once, in a random order, then at random; the same for a seed."""
    dice = random.Random(seed)  # noqa: S311  # a plan, no secret
    order = list(EVERY)
    dice.shuffle(order)
    for number in range(count):
        kind, target = order[number] if number < len(order) else dice.choice(EVERY)
        # One in six comes at once with the next: two things break together.
        after_s = 0.0 if dice.random() < 1 / 6 else dice.uniform(0.3, 2.0)
        yield Fault(kind, target, dice.uniform(0.5, 4.0), after_s)


class Breaker:
    """Does faults to the children of a supervisor. A pause ends by itself, beside what follows."""

    def __init__(self, supervisor: Supervisor, redis_url: str) -> None:
        self._supervisor = supervisor
        self._redis_url = redis_url
        self._resumes: list[threading.Timer] = []

    def do(self, fault: Fault) -> None:
        process = self._supervisor.children[fault.target].process
        match fault.kind:
            case Kind.KILL:
                process.send_signal(signal.SIGKILL)
            case Kind.TERMINATE:
                process.send_signal(signal.SIGTERM)
            case Kind.PAUSE:
                process.send_signal(signal.SIGSTOP)
                self._later(fault.pause_s, lambda: process.send_signal(signal.SIGCONT))
            case Kind.FORGET:
                self._forget()

    def close(self) -> None:
        """Every pause has ended."""
        for timer in self._resumes:
            timer.join()

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, act)
        timer.start()
        self._resumes.append(timer)

    def _forget(self) -> None:
        client = Redis.from_url(self._redis_url, socket_timeout=1, socket_connect_timeout=1)
        try:
            client.flushall()
        except RedisError:
            return  # it is down: it has forgotten more than that
        finally:
            client.close()
