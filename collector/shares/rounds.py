"""Settles what buckets claim, limit by limit: many in one read and one write.

While the counters do not answer, buckets that have a share keep it. One that has none follows its
rule: `local` splits this collector's part of the limit among its sidecars, `open` sets no limit,
and `closed` refuses.
"""

import logging
import time
from collections.abc import Callable, Iterable
from itertools import islice

from collector.shares.bucket import Bucket
from policy.errors import CountersDown
from policy.kinds import OnBackendError
from policy.quota.parts import Claim, Settled, Terms
from policy.quota.shares import Ask, MemoryShares, Shares

log = logging.getLogger(__name__)

AT_ONCE = 32  # limits in one settlement: checks on the same loop must not wait for long
AGAIN_S = 0.05  # between two settlements of one limit
AWAY_S = 1.0  # likewise, while the counters do not answer


class Rounds:
    def __init__(self, shares: Shares, local: MemoryShares, live: Callable[[], int]) -> None:
        """`live`: how many collectors there are, as far as is known."""
        self._shares = shares
        self._local = local
        self._live = live
        self._holders: dict[str, dict[str, Bucket]] = {}  # by limit, then by name
        self._leaving: dict[str, list[Claim]] = {}
        self._terms: dict[str, Terms] = {}
        self._due_s: dict[str, float] = {}  # when each limit is to be settled
        self._for_all: set[str] = set()  # not only for those who have news
        self._settled_s: dict[str, float] = {}

    def enlist(self, bucket: Bucket) -> None:
        """For all its limits, as they are now."""
        for key, part in bucket.parts.items():
            self._holders.setdefault(key, {})[bucket.holder] = bucket
            self._terms[key] = part.terms
        self.ask(bucket.parts)

    def delist(self, bucket: Bucket, keys: Iterable[str], *, leaving: bool) -> None:
        """`leaving`: its shares are free for others soon, else when they expire."""
        for key in keys:
            holders = self._holders.get(key, {})
            if holders.get(bucket.holder) is bucket:
                del holders[bucket.holder]
            if leaving:
                claim = Claim(bucket.holder, bucket.owner, leaving=True)
                self._leaving.setdefault(key, []).append(claim)
                self.ask([key])
            elif not holders:
                self._forget(key)

    def ask(self, keys: Iterable[str]) -> None:
        """To settle these soon, for those who have news."""
        now_s = time.monotonic()
        for key in keys:
            self._due_s.setdefault(key, max(self._settled_s.get(key, 0.0) + AGAIN_S, now_s))

    def ask_all(self, keys: Iterable[str]) -> None:
        """At once, for everyone: what some have may be due to others."""
        for key in self._holders.keys() & keys:
            self._for_all.add(key)
            self._due_s[key] = 0.0

    def wait_s(self, longest_s: float) -> float:
        """Until something is due."""
        now_s = time.monotonic()
        if any(due_s <= now_s for due_s in self._due_s.values()):
            return 0.0
        return min([longest_s, *(due_s - now_s for due_s in self._due_s.values())])

    async def settle_some(self) -> set[Bucket]:
        """Some of what is due; the buckets whose shares may have changed."""
        now_s = time.monotonic()
        due = list(islice((key for key, due in self._due_s.items() if due <= now_s), AT_ONCE))
        asks: dict[str, Ask] = {}
        for key in due:
            del self._due_s[key]
            self._settled_s[key] = now_s
            asks[key] = self._asked(key, everyone=key in self._for_all)
        if not asks:
            return set()
        try:
            settled = await self._shares.settle(asks)
        except CountersDown:
            return await self._without(asks)
        touched = self._apply(settled, asks)
        for key, result in settled.items():
            everyone = key in self._for_all
            self._for_all.discard(key)
            holders = self._holders.get(key, {})
            if result.short and not everyone and len(holders) > 1:
                # Others may have to give something back first: what comes of it is worth telling.
                self.ask_all([key])
                touched -= set(holders.values())
        return touched

    def _asked(self, key: str, *, everyone: bool) -> Ask:
        claims = [
            bucket.claim(key)
            for bucket in self._holders.get(key, {}).values()
            if everyone or bucket.claims(key)
        ]
        return Ask(self._terms[key], (*self._leaving.pop(key, ()), *claims))

    def _asked_here(self, key: str) -> Ask:
        """Of this collector's part of the limit."""
        asked, live = self._asked(key, everyone=True), self._live()
        terms = asked.terms
        part = terms._replace(rate=terms.rate / live, burst=max(terms.burst / live, 1.0))
        return asked._replace(terms=part)

    def _apply(self, settled: dict[str, Settled], asks: dict[str, Ask]) -> set[Bucket]:
        touched: set[Bucket] = set()
        for key, result in settled.items():
            holders = self._holders.get(key, {})
            for claim in asks[key].claims:
                bucket = holders.get(claim.holder)
                share = result.split.holdings.get(claim.holder)
                if bucket is None:
                    continue  # it is gone
                if claim.holder in result.twins:
                    del holders[claim.holder]
                    bucket.become_another()
                    self.enlist(bucket)
                elif share:
                    bucket.settled(key, share, renewed=claim.holder in result.renewed)
                    touched.add(bucket)
            if not holders:
                self._forget(key)
        return touched

    async def _without(self, asks: dict[str, Ask]) -> set[Bucket]:
        """By each rule's own policy."""
        touched: set[Bucket] = set()
        own: dict[str, Ask] = {}
        for key, ask in asks.items():
            self._due_s[key] = time.monotonic() + AWAY_S
            if leaving := [claim for claim in ask.claims if claim.leaving]:
                self._leaving.setdefault(key, []).extend(leaving)
            buckets = self._holders.get(key, {}).values()
            for bucket in buckets:
                bucket.unsettled(key)
            touched.update(buckets)
            if any(bucket.parts[key].policy is OnBackendError.LOCAL for bucket in buckets):
                own[key] = self._asked_here(key)
        settled = await self._local.settle(own)
        touched |= self._apply(settled, own)
        for key in own:
            for bucket in self._holders.get(key, {}).values():
                bucket.away.add(key)
        return touched

    def _forget(self, key: str) -> None:
        self._for_all.discard(key)
        for kept in (self._holders, self._terms, self._due_s, self._settled_s):
            kept.pop(key, None)
