"""What is done to the processes and to what connects them, and in which order."""

import random
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from redis import Redis
from redis.exceptions import RedisError

from chaos.clocks import Clocks
from chaos.disk import Disk
from chaos.links import WAYS
from chaos.proxy import Mode, Proxies
from launch.supervisor import Supervisor


class Kind(StrEnum):
    KILL = "kill"  # SIGKILL
    PAUSE = "pause"  # SIGSTOP, and SIGCONT some seconds later
    TERMINATE = "terminate"  # SIGTERM
    AWAY = "away"  # SIGKILL, and not started again for some seconds
    FORGET = "forget"  # the broker loses everything it holds
    FULL = "full"  # a disk, for some seconds
    AHEAD = "ahead"  # a wall clock is set forward, and some seconds later back
    BEHIND = "behind"  # and the other way round


Deed = Kind | Mode  # a mode is of a link, for some seconds

TARGETS = ("collector", "worker", "valkey", "store", "beat")
OUTBOX = "outbox"
CLOCKED = ("collector", "worker")
STEP_S = {Kind.AHEAD: 3600, Kind.BEHIND: -3600}
MODES = tuple(mode for mode in Mode if mode is not Mode.PASS)
EVERY: tuple[tuple[Deed, str], ...] = (
    *product((Kind.KILL, Kind.PAUSE, Kind.TERMINATE), TARGETS),
    (Kind.AWAY, "store"),
    (Kind.AWAY, "valkey"),
    (Kind.FORGET, "valkey"),
    (Kind.FULL, OUTBOX),
    *product(STEP_S, CLOCKED),
    *product(MODES, WAYS),
)


class Fault(NamedTuple):
    kind: Deed
    target: str
    lasts_s: float = 0.0  # of what ends by itself
    after_s: float = 0.0  # how long nothing is done before it

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"


def planned(count: int, seed: int, every: Sequence[tuple[Deed, str]] = EVERY) -> Iterator[Fault]:
    """Every kind on every target once, in a random order, then at random; the same for a seed."""
    dice = random.Random(seed)  # noqa: S311  # a plan, no secret
    order = list(every)
    dice.shuffle(order)
    for number in range(count):
        kind, target = order[number] if number < len(order) else dice.choice(every)
        # One in six comes at once with the one before: two things break together.
        after_s = 0.0 if dice.random() < 1 / 6 else dice.uniform(0.1, 0.8)
        yield Fault(kind, target, dice.uniform(0.5, 3.0), after_s)


class Disturbed(NamedTuple):
    """What was done so far that the answers to checks may tell of.

    Each deed counts when it begins and again when it is done: between two looks that are alike
    there was none.
    """

    losses: int  # the counters' server may have forgotten what it answered
    deaths: int  # of the collector
    up: tuple[int, int] | None  # the collector that serves, and what was done to it


ENDING = (Kind.KILL, Kind.TERMINATE, Kind.AWAY)
# Of the counters' server: when its disk is busy it writes its file behind; and what it is told to
# forget while it is paused, it forgets later.
LOSING = (Kind.KILL, Kind.AWAY, Kind.FORGET, Kind.PAUSE)


class Breaker:
    """Does faults. What lasts ends by itself, beside what follows."""

    def __init__(
        self,
        supervisor: Supervisor,
        proxies: Proxies,
        redis_url: str,
        disk: Disk | None,
        clocks: Clocks | None,
    ) -> None:
        """What there is none of is not broken."""
        self._supervisor = supervisor
        self._proxies = proxies
        self._redis_url = redis_url
        self._disk = disk
        self._clocks = clocks
        self._ends: list[threading.Timer] = []
        self._deeds: Counter[tuple[Deed, str]] = Counter()
        self._paused: set[str] = set()
        self._ended: set[int] = set()  # processes that were told to end, or are no more

    @property
    def every(self) -> list[tuple[Deed, str]]:
        """What can be broken here, and how."""
        impossible = {Kind.FULL} if self._disk is None else set()
        if self._clocks is None:
            impossible |= STEP_S.keys()
        return [(kind, target) for kind, target in EVERY if kind not in impossible]

    def can(self, fault: Fault) -> bool:
        """Whether there is something to break."""
        if fault.target in WAYS:
            return self._proxies.mode(fault.target) is Mode.PASS
        if fault.kind is Kind.FULL:
            return self._disk is not None and not self._disk.full
        if fault.kind in STEP_S and (self._clocks is None or self._clocks.moved_s(fault.target)):
            return False
        child = self._supervisor.children[fault.target]
        return child.process.poll() is None and not child.awaited

    def disturbed(self) -> Disturbed:
        collector = self._supervisor.children["collector"]
        process = collector.process
        ended = process.poll() is not None or process.pid in self._ended
        serves = not ended and not collector.awaited and "collector" not in self._paused
        deeds = self._of("collector", Kind.KILL, Kind.TERMINATE, Kind.PAUSE)
        return Disturbed(
            losses=self._of("valkey", *LOSING),
            deaths=self._of("collector", Kind.KILL, Kind.TERMINATE),
            up=(process.pid, deeds) if serves else None,
        )

    def _of(self, target: str, *kinds: Kind) -> int:
        return sum(self._deeds[kind, target] for kind in kinds)

    def do(self, fault: Fault) -> None:
        self._deeds[fault.kind, fault.target] += 1
        self._do(fault)
        self._deeds[fault.kind, fault.target] += 1

    def _do(self, fault: Fault) -> None:
        if isinstance(fault.kind, Mode):
            self._proxies.become(fault.target, fault.kind)
            self._later(fault.lasts_s, lambda: self._proxies.become(fault.target, Mode.PASS))
            return
        if fault.kind is Kind.FULL:
            self._fill(fault.lasts_s)
            return
        process = self._supervisor.children[fault.target].process
        if fault.kind in ENDING:
            self._ended.add(process.pid)
        match fault.kind:
            case Kind.KILL:
                process.send_signal(signal.SIGKILL)
            case Kind.TERMINATE:
                process.send_signal(signal.SIGTERM)
            case Kind.AWAY:
                self._supervisor.keep_away(fault.target, fault.lasts_s)
                process.send_signal(signal.SIGKILL)
            case Kind.PAUSE:
                self._paused.add(fault.target)
                process.send_signal(signal.SIGSTOP)
                self._later(fault.lasts_s, lambda: self._go_on(fault.target, process))
            case Kind.FORGET:
                self._forget()
            case Kind.AHEAD | Kind.BEHIND:
                self._step(fault.target, STEP_S[fault.kind], fault.lasts_s)

    def close(self) -> None:
        """Everything that lasts has ended."""
        for timer in self._ends:
            timer.join()

    def _go_on(self, target: str, process: subprocess.Popen[bytes]) -> None:
        self._deeds[Kind.PAUSE, target] += 1
        process.send_signal(signal.SIGCONT)
        self._paused.discard(target)
        self._deeds[Kind.PAUSE, target] += 1

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, act)
        timer.start()
        self._ends.append(timer)

    def _fill(self, lasts_s: float) -> None:
        if self._disk:
            self._disk.fill()
            self._later(lasts_s, self._disk.empty)

    def _step(self, target: str, seconds: int, lasts_s: float) -> None:
        if clocks := self._clocks:
            clocks.move(target, seconds)
            self._later(lasts_s, lambda: clocks.move(target, 0))

    def _forget(self) -> None:
        client = Redis.from_url(self._redis_url, socket_timeout=1, socket_connect_timeout=1)
        try:
            client.flushall()
        except RedisError:
            return  # it is down: it has forgotten more than that
        finally:
            client.close()
