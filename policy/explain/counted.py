"""What each quota made of a request: its limits, and what its counters held before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policy.answers import Matched, exhausted
from policy.explain.looking import Seen
from policy.explain.steps import common, unasked
from policy.explain.tree import Counter, QuotaStep, Said
from policy.quota import Take
from policy.stages import Metered, Values


@dataclass(frozen=True)
class Counted:
    """What the counters said, by key; a key that is not there was not answered for."""

    values: Values
    seen: Mapping[str, Seen]

    def together(self, metered: Sequence[Metered], matched: Sequence[Matched]) -> list[QuotaStep]:
        """Of those quotas that are charged all or none."""
        takes = [take for found in matched for take in found.charge.takes]
        return [
            self.step(each, found, charged=self.all_grant(takes))
            for each, found in paired(metered, matched)
        ]

    def apart(self, metered: Sequence[Metered], matched: Sequence[Matched]) -> list[QuotaStep]:
        """Of those that are each charged by itself."""
        return [
            self.step(each, found, charged=found is not None and self.all_grant(found.charge.takes))
            for each, found in paired(metered, matched)
        ]

    def step(self, metered: Metered, found: Matched | None, *, charged: bool) -> QuotaStep:
        if found is None:
            return unasked(QuotaStep, metered, self.values)
        charge = found.charge
        drafted = self.all_grant(charge.draft)
        return QuotaStep(
            **common(metered, self.values, *self.said(found)),
            key=charge.shown,
            override=charge.limits.override,
            limits=tuple(self.counter(take, charged=charged) for take in charge.takes),
            draft=tuple(self.counter(take, charged=drafted) for take in charge.draft),
        )

    def said(self, found: Matched) -> tuple[Said, str]:
        rule = found.metered.rule
        for take in found.charge.takes:
            seen = self.seen.get(take.key)
            if seen is None:
                return Said.NO_ANSWER, f"its counters do not answer: {rule.on_backend_error}"
            if not seen.take.granted:
                return Said.REFUSES, exhausted(rule.name, take, seen.take)
        return Said.PASSES, ""

    def all_grant(self, takes: Sequence[Take]) -> bool:
        return all(
            seen.take.granted for take in takes if (seen := self.seen.get(take.key)) is not None
        )

    def counter(self, take: Take, *, charged: bool) -> Counter:
        quota = take.quota
        limit = (quota.limit, quota.window_us, quota.algorithm, quota.burst, take.amount)
        seen = self.seen.get(take.key)
        if seen is None:
            return Counter(*limit, -1, -1, None, -1, -1)
        nothing, said = seen
        after = said if charged else nothing
        return Counter(
            *limit,
            nothing.remaining,
            after.remaining,
            said.granted,
            after.reset_us,
            said.retry_after_us,
        )


def paired(
    metered: Sequence[Metered], matched: Sequence[Matched]
) -> list[tuple[Metered, Matched | None]]:
    found = {each.metered.rule.name: each for each in matched}
    return [(each, found.get(each.rule.name)) for each in metered]
