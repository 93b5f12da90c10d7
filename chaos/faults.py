"""What is done to the processes and to what connects them, and in which order."""

import random
import signal
import threading
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from redis import Redis
from redis.exceptions import RedisError

from chaos.links import WAYS
from chaos.proxy import Mode, Proxies
from launch.supervisor import Supervisor


class Kind(StrEnum):
    KILL = "kill"  # SIGKILL
    PAUSE = "pause"  # SIGSTOP, and SIGCONT some seconds later
    TERMINATE = "terminate"  # SIGTERM
    AWAY = "away"  # SIGKILL, and not started again for some seconds
    FORGET = "forget"  # the broker loses everything it holds


Deed = Kind | Mode  # a mode is of a link, for some seconds

TARGETS = ("collector", "worker", "valkey", "store", "beat")
MODES = tuple(mode for mode in Mode if mode is not Mode.PASS)
EVERY: tuple[tuple[Deed, str], ...] = (
    *product((Kind.KILL, Kind.PAUSE, Kind.TERMINATE), TARGETS),
    (Kind.AWAY, "store"),
    (Kind.AWAY, "valkey"),
    (Kind.FORGET, "valkey"),
    *product(MODES, WAYS),
)


class Fault(NamedTuple):
    kind: Deed
    target: str
    lasts_s: float = 0.0  # of a PAUSE, an absence, a mode
    after_s: float = 0.0  # how long nothing is done before it

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"


def planned(count: int, seed: int) -> Iterator[Fault]:
    """Every kind on every target once, in a random order, then at random; the same for a seed."""
    dice = random.Random(seed)  # noqa: S311  # a plan, no secret
    order = list(EVERY)
    dice.shuffle(order)
    for number in range(count):
        kind, target = order[number] if number < len(order) else dice.choice(EVERY)
        # One in six comes at once with the one before: two things break together.
        after_s = 0.0 if dice.random() < 1 / 6 else dice.uniform(0.1, 0.8)
        yield Fault(kind, target, dice.uniform(0.5, 3.0), after_s)


class Breaker:
    """Does faults. What lasts ends by itself, beside what follows."""

    def __init__(self, supervisor: Supervisor, proxies: Proxies, redis_url: str) -> None:
        self._supervisor = supervisor
        self._proxies = proxies
        self._redis_url = redis_url
        self._ends: list[threading.Timer] = []

    def can(self, fault: Fault) -> bool:
        """Whether there is something to break."""
        if fault.target in WAYS:
            return self._proxies.mode(fault.target) is Mode.PASS
        child = self._supervisor.children[fault.target]
        return child.process.poll() is None and not child.awaited

    def do(self, fault: Fault) -> None:
        if isinstance(fault.kind, Mode):
            self._proxies.become(fault.target, fault.kind)
            self._later(fault.lasts_s, lambda: self._proxies.become(fault.target, Mode.PASS))
            return
        process = self._supervisor.children[fault.target].process
        match fault.kind:
            case Kind.KILL:
                process.send_signal(signal.SIGKILL)
            case Kind.TERMINATE:
                process.send_signal(signal.SIGTERM)
            case Kind.AWAY:
                self._supervisor.keep_away(fault.target, fault.lasts_s)
                process.send_signal(signal.SIGKILL)
            case Kind.PAUSE:
                process.send_signal(signal.SIGSTOP)
                self._later(fault.lasts_s, lambda: process.send_signal(signal.SIGCONT))
            case Kind.FORGET:
                self._forget()

    def close(self) -> None:
        """Everything that lasts has ended."""
        for timer in self._ends:
            timer.join()

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, act)
        timer.start()
        self._ends.append(timer)

    def _forget(self) -> None:
        client = Redis.from_url(self._redis_url, socket_timeout=1, socket_connect_timeout=1)
        try:
            client.flushall()
        except RedisError:
            return  # it is down: it has forgotten more than that
        finally:
            client.close()
