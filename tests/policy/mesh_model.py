"""Sidecars that share one quota, in simulated time: each a token bucket as Envoy 1.40 keeps it.

A new bucket begins full; a changed one stays as full as it was, in whole tokens. Before it has
anything a sidecar lets all pass. It reports its first request at once, then every five seconds.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from policy.quota.parts import UNKNOWN, Claim, Holding, Split, Terms
from policy.quota.split import settle

STEP_S = 0.02
REPORT_S = 5.0
AGAIN_S = 0.5  # how soon collectors look again at what is short
START_US = 1_000_000_000


@dataclass
class Sidecar:
    name: str
    wants: Callable[[float], float]  # requests a second, by the time
    joins_s: float = 0.0
    leaves_s: float = math.inf
    phase_s: float = 0.0
    holding: Holding | None = None
    tokens: float = 0.0
    filled_s: float = 0.0
    reported_s: float = math.nan
    allowed: int = 0
    denied: int = 0
    passed: list[float] = field(default_factory=list)

    def present(self, now_s: float) -> bool:
        return self.joins_s <= now_s < self.leaves_s

    def told(self, holding: Holding, renewed: bool, now_s: float) -> None:
        old = self.holding
        if renewed or old is None or not old.size:
            self.tokens = float(holding.size)
        else:
            self.refill(now_s)
            if (old.rate, old.size) != (holding.rate, holding.size):
                self.tokens = float(math.floor(holding.size * self.tokens / old.size))
        self.holding, self.filled_s = holding, now_s

    def refill(self, now_s: float) -> None:
        assert self.holding
        gained = (now_s - self.filled_s) * self.holding.rate
        self.tokens = min(self.tokens + gained, float(self.holding.size))
        self.filled_s = now_s

    def request(self, now_s: float) -> None:
        passes = self.holding is None
        if self.holding:
            self.refill(now_s)
            passes = self.tokens >= 1
            self.tokens -= passes
        self.allowed += passes
        self.denied += not passes
        if passes:
            self.passed.append(now_s)

    def report(self, now_s: float) -> Claim | None:
        """At its first request, and when it is time."""
        if math.isnan(self.reported_s):
            if not self.allowed:
                return None
            claim = Claim(self.name, self.name, UNKNOWN, self.allowed, fresh=True)
            self.reported_s = now_s - self.phase_s
        elif now_s - self.reported_s < REPORT_S:
            return None
        else:
            demand = (self.allowed + self.denied) / (now_s - self.reported_s)
            claim = Claim(self.name, self.name, demand, self.allowed)
            self.reported_s = now_s
        self.allowed = self.denied = 0
        return claim


class Mesh:
    """`run` goes on from where it was; what passed is in the sidecars."""

    def __init__(self, terms: Terms, sidecars: Sequence[Sidecar], seed: int = 7) -> None:
        self.terms = terms
        self.sidecars = sidecars
        self.split: Split | None = None
        self.now_s = 0.0
        self._dice = random.Random(seed)
        self._again_s = math.inf
        for sidecar in sidecars:
            sidecar.phase_s = self._dice.uniform(0, REPORT_S)

    def run(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self._step()
            self.now_s += STEP_S

    def _step(self) -> None:
        claims: list[Claim] = []
        for sidecar in self.sidecars:
            if not sidecar.present(self.now_s):
                if sidecar.holding:
                    claims.append(Claim(sidecar.name, sidecar.name, leaving=True))
                    sidecar.holding = None
                continue
            for _ in range(self._arrivals(sidecar.wants(self.now_s) * STEP_S)):
                sidecar.request(self.now_s)
            claim = sidecar.report(self.now_s)
            if claim:
                claims.append(claim)
        if claims or self.now_s >= self._again_s:
            self._settle(claims)

    def _arrivals(self, mean: float) -> int:
        """Poisson's."""
        count, left = 0, math.exp(-mean)
        chance = self._dice.random()
        while chance > left:
            chance *= self._dice.random()
            count += 1
        return count

    def _settle(self, claims: list[Claim]) -> None:
        said = {claim.holder for claim in claims}
        others = [each for each in self.sidecars if each.holding and each.name not in said]
        claims += [Claim(sidecar.name, sidecar.name) for sidecar in others]
        now_us = START_US + round(self.now_s * 1e6)
        settled = settle(self.split, self.terms, claims, now_us)
        self.split = settled.split
        self._again_s = self.now_s + AGAIN_S if settled.short else math.inf
        self.check_invariants()
        for sidecar in self.sidecars:
            holding = self.split.holdings.get(sidecar.name)
            if holding and sidecar.present(self.now_s):
                sidecar.told(holding, sidecar.name in settled.renewed, self.now_s)

    def check_invariants(self) -> None:
        assert self.split
        held = self.split.holdings.values()
        assert sum(holding.rate for holding in held) <= self.terms.rate * (1 + 1e-9)
        assert self.split.level + sum(holding.size for holding in held) <= self.burst + 1e-6

    @property
    def burst(self) -> float:
        """What may pass beyond the rate: at least a token in the bucket of each, and some."""
        return max(self.terms.burst, len(self.sidecars) / 0.75)

    def excess(self) -> float:
        """The most that passed beyond the rate within any time."""
        times = sorted(time for sidecar in self.sidecars for time in sidecar.passed)
        worst, lowest = 0.0, math.inf
        for count, time in enumerate(times):
            lowest = min(lowest, count - self.terms.rate * time)
            worst = max(worst, count + 1 - self.terms.rate * time - lowest)
        return worst

    def rates(self, seconds: float) -> list[float]:
        """What passed a second, by sidecar, in the last `seconds`."""
        since_s = self.now_s - seconds
        return [
            sum(time >= since_s for time in sidecar.passed) / seconds for sidecar in self.sidecars
        ]
