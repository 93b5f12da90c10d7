"""One chaos run: start everything, break it while spans are sent, wait, compare."""

import contextlib
import json
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from chaos.askers import Askers
from chaos.faults import Breaker, planned
from chaos.ledger import Ledger
from chaos.processes import gained, strays, usage
from chaos.rig import Rig
from chaos.senders import Senders
from chaos.verdict import (
    ACCOUNTED,
    ASKED,
    FRESH,
    NO_LEAKS,
    NOTHING_LEFT,
    Stored,
    is_stored,
    stored,
    total,
    unaccounted,
    verdict,
)
from collector.errors import StoreError
from collector.store.client import Store
from launch.supervisor import ChildFailed, Supervisor

LONGEST_ANSWER_S = 90.0
LONGEST_DRAIN_S = 150.0
LONGEST_START_S = 90.0
LOOK_S = 0.1
FRESH_S = 15.0  # three times what it takes on a machine that does nothing else
PENDING = ("meshmeter_outbox_pending_requests ", "meshmeter_outbox_pending_groups ")
QUARANTINED = ("meshmeter_outbox_quarantined_groups ",)


@dataclass(frozen=True)
class Plan:
    faults: int
    seed: int
    senders: int
    spans_per_second: float


@dataclass(frozen=True)
class Result:
    """`faults` is empty when everything is as it must be."""

    report: dict[str, Any]
    faults: list[str]


class Chaos:
    """`run` from a thread beside the supervisor's `watch`, which starts again what it breaks."""

    def __init__(self, rig: Rig, plan: Plan, say: Callable[[str], None]) -> None:
        self._rig = rig
        self._settings = rig.settings
        self._supervisor = rig.supervisor
        self._plan = plan
        self._say = say
        self.result: Result | None = None
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Sets `result`, or `failure`, and then the supervisor's `stop_event`."""
        try:
            self.result = self._run()
        except BaseException as error:  # noqa: BLE001  # told by whoever waits for this thread
            self.failure = error
        finally:
            self._supervisor.stop_event.set()

    def _run(self) -> Result:
        for reason in self._rig.missing:
            self._say(reason)
        ledger = Ledger()
        url = f"{self._settings.collector_url}/v1/traces"
        senders = Senders(url, ledger, self._plan.senders, self._plan.spans_per_second)
        breaker = self._rig.breaker()
        askers = Askers(self._settings.collector_url, breaker.disturbed)
        askers.prepare()
        if not self._until(askers.ready, LONGEST_START_S):
            raise ChildFailed("the rules of the checks are not in force")
        before = usage(self._supervisor)
        senders.start()
        askers.start()
        try:
            done = self._break(breaker)
        finally:
            askers.stop(LONGEST_ANSWER_S)
            began = time.monotonic()
            answered = senders.stop(LONGEST_ANSWER_S)
        self._say(f"{sum(done.values())} faults done; waiting until everything is stored")
        drained = self._until(lambda: self._counted(PENDING) == 0, LONGEST_DRAIN_S)
        drain_s = time.monotonic() - began
        with contextlib.closing(Store(self._settings.clickhouse_url)) as store:
            fresh_s = self._fresh_s(Senders(url, ledger, 1, 1.0), store)
            # An insert that is seen in its table may not yet be in the rollups.
            self._until(lambda: stored(store).rolled_up, FRESH_S)
            found = stored(store)
            said = verdict(ledger, found, store)
        if not answered:
            said[ACCOUNTED].append(
                f"requests are not answered {LONGEST_ANSWER_S:.0f} s after the last fault"
            )
        if not drained:
            said[NOTHING_LEFT].append(f"the outbox does not drain within {LONGEST_DRAIN_S:.0f} s")
        if quarantined := self._counted(QUARANTINED):
            said[NOTHING_LEFT].append(f"{quarantined:.0f} groups are in quarantine")
        said[ACCOUNTED] += unaccounted(self._metrics())
        if fresh_s > FRESH_S:
            said[FRESH].append(f"a span is stored {fresh_s:.1f} s after it was acknowledged")
        said[ASKED] += askers.wrong
        said[NO_LEAKS] += gained(before, usage(self._supervisor))
        said[NO_LEAKS] += [
            f"process {pid} was left behind"
            for pid in strays(self._supervisor, self._settings.data_dir)
        ]
        report = self._report(done, ledger, found, drain_s)
        holds = {check: not texts for check, texts in said.items()}
        report["asked"] = dict(sorted(askers.counts.items()))
        report |= {"fresh_s": round(fresh_s, 1), "checks": holds}
        return Result(report, [f"{check}: {text}" for check in said for text in said[check]])

    def _fresh_s(self, sender: Senders, store: Store) -> float:
        """From the acknowledgement of one more span to its being stored; LONGEST_DRAIN_S if it
        is not."""
        (number,) = sender.send_one()
        began = time.monotonic()
        self._until(lambda: is_stored(store, number), LONGEST_DRAIN_S)
        return time.monotonic() - began

    def _break(self, breaker: Breaker) -> Mapping[str, int]:
        done: Counter[str] = Counter()
        told_s = time.monotonic()
        faults = planned(self._plan.faults, self._plan.seed, breaker.every)
        for number, fault in enumerate(faults, 1):
            self._supervisor.stop_event.wait(fault.after_s)
            if not self._until(partial(breaker.can, fault), LONGEST_START_S):
                raise ChildFailed(f"{fault.target} is not back after {LONGEST_START_S:.0f} s")
            breaker.do(fault)
            done[str(fault)] += 1
            if time.monotonic() - told_s > 5:
                told_s = time.monotonic()
                self._say(f"{number} of {self._plan.faults} faults: {fault}")
        breaker.close()
        return done

    def _until(self, condition: Callable[[], bool], within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError, StoreError):
                if condition():
                    return True
            if self._supervisor.stop_event.wait(LOOK_S):
                return False
        return False

    def _metrics(self) -> str:
        """The collector's. Raises httpx.HTTPError."""
        answer = httpx.get(f"{self._settings.collector_url}/metrics", timeout=5)
        return answer.raise_for_status().text

    def _counted(self, names: tuple[str, ...]) -> float:
        return total(self._metrics(), *names)

    def _report(
        self, done: Mapping[str, int], ledger: Ledger, found: Stored, drain_s: float
    ) -> dict[str, Any]:
        ack_ms = [seconds * 1000 for seconds in ledger.ack_s] or [0.0]
        cuts = statistics.quantiles(ack_ms, n=100) if len(ack_ms) > 1 else ack_ms * 99
        restarts = {name: child.restarts for name, child in self._supervisor.children.items()}
        return {
            "faults": sum(done.values()),
            "acked": len(ledger.acknowledged),
            "stored": found.rows,
            "unique": found.unique,
            "rollup": found.rollups[0],
            "drain_s": round(drain_s, 1),
            "seed": self._plan.seed,
            "by_fault": dict(sorted(done.items())),
            "left_out": self._rig.missing,
            "restarts": restarts,
            "resent": ledger.resent,
            "ack_p50_ms": round(cuts[49], 1),
            "ack_p99_ms": round(cuts[98], 1),
        }


def watched(chaos: Chaos, supervisor: Supervisor) -> Result:
    """Runs it beside the supervisor, from the thread that started that one.

    Raises what the run raised, and KeyboardInterrupt when it was stopped before its end.
    """
    thread = threading.Thread(target=chaos.run, name="chaos")
    thread.start()
    supervisor.watch()
    thread.join()
    if chaos.failure is not None:
        raise chaos.failure
    if chaos.result is None:
        raise KeyboardInterrupt
    return chaos.result


def written(result: Result) -> str:
    return json.dumps(result.report, indent=2) + "\n"
