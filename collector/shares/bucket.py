"""One bucket of one sidecar: what its requests count for, what it wants, what it was told."""

import hashlib
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from prometheus_client import Counter

from collector.services import Assignment, Usage, Verb
from policy.answers import Matched, Standing
from policy.attributes import AttributeBag
from policy.kinds import OnBackendError
from policy.quota import Take
from policy.quota.parts import UNKNOWN, Claim, Holding, Terms, fill
from policy.quota.split import ROOM, terms_of

TOLD = Counter(
    "meshmeter_shared_quota_assignments", "what sidecars were told to do with a bucket", ["verb"]
)
KEEP_S = 20.0  # a sidecar is told again what it knows, for it forgets after a minute
IDLE_S = 600.0  # without a request, after which a sidecar may forget the bucket
REPORT_S = 5.0
STEADY = 0.25  # how much its demand may differ, and be the same


class Part(NamedTuple):
    """One limit that the bucket's requests count for. `terms`: how it is split."""

    matched: Matched
    take: Take
    terms: Terms

    @property
    def policy(self) -> OnBackendError:
        return self.matched.metered.rule.on_backend_error


class News(NamedTuple):
    """What was reported and is not settled yet."""

    demand: float  # requests a second
    spent: int = 0
    fresh: bool = False

    def after(self, older: "News | None") -> "News":
        if older is None:
            return self
        return News(self.demand, self.spent + older.spent, self.fresh or older.fresh)


def parts_of(standing: Standing) -> dict[str, Part]:
    """By the counter's name. What takes nothing, or has no rate, is no part."""
    found: dict[str, Part] = {}
    for matched in standing.quotas:
        for take in matched.charge.takes:
            terms = terms_of(take.quota, standing.asked.snapshot.version)
            if terms and take.amount > 0:
                found[take.key] = Part(matched, take, terms)
    return found


@dataclass(eq=False, slots=True)
class Bucket:
    """`name` is the sidecar's; `holder` is that under which its shares are kept."""

    name: Hashable
    holder: str
    owner: str
    bag: AttributeBag
    tell: Callable[[Hashable, Assignment], None]
    standing: Standing
    clock: Callable[[], float] = time.monotonic
    parts: dict[str, Part] = field(init=False)
    news: dict[str, News] = field(default_factory=dict)  # by part, as all that follow
    claimed: dict[str, News] = field(default_factory=dict)
    shares: dict[str, Holding] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)  # the counters did not answer
    renewed: bool = False
    told: Assignment | None = None
    told_s: float = 0.0
    demand: float = UNKNOWN
    reported_s: float = 0.0
    used_s: float = 0.0
    claimed_s: float = 0.0
    claimed_demand: float = UNKNOWN

    def __post_init__(self) -> None:
        self.parts = parts_of(self.standing)

    @property
    def idle_s(self) -> float:
        return self.clock() - self.used_s

    def stand(self, standing: Standing) -> None:
        """On new rules."""
        self.standing, self.parts = standing, parts_of(standing)
        for kept in (self.news, self.claimed, self.shares):
            for key in kept.keys() - self.parts.keys():
                del kept[key]
        self.away &= self.parts.keys()
        for key in self.parts.keys() - self.shares.keys():
            self.news.setdefault(key, News(self.demand))

    def become_another(self) -> None:
        """For its name is another sidecar's."""
        words = f"{self.holder}\n{self.owner}".encode()
        self.holder = hashlib.blake2b(words, digest_size=12).hexdigest()
        self.claimed.clear()
        self.shares.clear()
        self.news = {key: News(self.demand) for key in self.parts}

    def reported(self, usage: Usage) -> bool:
        """Whether there is something to claim by."""
        now_s = self.clock()
        fresh = usage.elapsed_s == 0 and not self.reported_s
        elapsed_s = now_s - self.reported_s if self.reported_s else usage.elapsed_s or REPORT_S
        used = usage.allowed + usage.denied
        self.reported_s = now_s
        if used or not self.used_s:
            self.used_s = now_s
        if fresh or (self.demand == UNKNOWN and elapsed_s < 1):
            self.demand = UNKNOWN
        else:
            self.demand = used / max(elapsed_s, 1.0)
        if not fresh and not usage.denied and self._steady(now_s):
            return False
        self.claimed_demand = self.demand
        self.claimed_s = now_s
        for key, part in self.parts.items():
            news = News(self.demand, usage.allowed * part.take.amount, fresh)
            self.news[key] = news.after(self.news.get(key))
        return bool(self.parts)

    def _steady(self, now_s: float) -> bool:
        """It wants about what it said lately. What became of single tokens is always said."""
        before, now = self.claimed_demand, self.demand
        same = UNKNOWN not in (before, now) and abs(now - before) <= STEADY * max(before, 1.0)
        return (
            same
            and now_s - self.claimed_s < KEEP_S
            and all(share.tokens for share in self.shares.values())
        )

    def claims(self, key: str) -> bool:
        """Whether it has something to say of this limit, or no share of it yet."""
        return key in self.news or key not in self.shares or key in self.away

    def claim(self, key: str) -> Claim:
        """By the news; of one limit no more is claimed than the others allow."""
        part, news, held = self.parts[key], self.news.pop(key, None), self.shares.get(key)
        if news is None:
            return Claim(self.holder, self.owner, held=held)
        self.claimed[key] = news
        demand = news.demand
        if demand != UNKNOWN:
            others = [ROOM * self.rate(other) for other in self.shares if other != key]
            demand = min([demand, *others]) * part.take.amount
        return Claim(self.holder, self.owner, demand, news.spent, news.fresh, held)

    def settled(self, key: str, share: Holding, *, renewed: bool) -> None:
        self.claimed.pop(key, None)
        self.shares[key] = share
        self.renewed = self.renewed or renewed
        self.away.discard(key)

    def unsettled(self, key: str) -> None:
        """The counters did not answer: the news wait."""
        if key in self.claimed:
            claimed = self.claimed.pop(key)
            self.news[key] = self.news[key].after(claimed) if key in self.news else claimed
        self.away.add(key)

    def rate(self, key: str) -> float:
        """Requests a second that its share of one limit allows."""
        return self.shares[key].rate / self.parts[key].take.amount

    def tightest(self) -> Part | None:
        """Of the limits that it has a share of; None without."""
        return self.parts[min(self.shares, key=self.rate)] if self.shares else None

    def assignment(self) -> Assignment | None:
        """What its sidecar should do; None while not all of its shares are known."""
        unknown = self.parts.keys() - self.shares.keys()
        if unknown - self.away:
            return None
        closed = any(self.parts[key].policy is OnBackendError.CLOSED for key in unknown)
        if self.standing.refusal or closed:
            return Assignment(Verb.DENY)
        part = self.tightest()
        if part is None:
            return Assignment(Verb.ALLOW)
        size = min(held.size // self.parts[key].take.amount for key, held in self.shares.items())
        if size == 0:
            return Assignment(Verb.DENY)
        share = self.shares[part.take.key]
        plain = part.take.amount == 1
        tokens, seconds = share[:2] if plain else fill(self.rate(part.take.key))
        return Assignment(Verb.COUNT, tokens, seconds, size, self.renewed)

    def tell_news(self) -> None:
        """Tells what to do, when that is known and is not what was told."""
        assignment = self.assignment()
        if assignment is None:
            return
        self.renewed = False
        if self.told is None or assignment != self.told._replace(renewed=False):
            self.tell_it(assignment)

    def remind(self) -> None:
        """Tells the same again, before it is forgotten."""
        if self.told and self.clock() - self.told_s > KEEP_S:
            self.tell_it(self.told._replace(renewed=False))

    def tell_it(self, assignment: Assignment) -> None:
        TOLD.labels(assignment.verb).inc()
        self.told, self.told_s = assignment, self.clock()
        self.tell(self.name, assignment)
