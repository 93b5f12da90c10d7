"""Why a rule matched nothing, by what was asked lately and a sample of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from policy.explain.instead import (
    Instead,
    always_absent,
    listed,
    names_near,
    nearest,
    values_instead,
)
from policy.explain.sampled import DESTINATION, Sampled
from policy.expression import shown
from policy.expression.why import Fault, Term, terms_of
from policy.snapshot import Snapshot
from policy.stages import Compiled, Derivation, Gate, Headers

MAX_GATED = 64  # requests for which the gates before a rule are looked at


class Why(StrEnum):
    NO_CHECKS = "no checks"  # none at all
    NO_TRAFFIC = "no traffic"  # none of them was about the rule's destination
    ELSEWHERE = "elsewhere"  # only other collectors were asked about it
    NOT_SAMPLED = "not sampled"  # nothing is known of the requests there were
    ABSENT = "absent"  # what it reads was in none of them
    TYPE = "type"  # what it reads is of another type
    VALUES = "values"  # a term holds for none: other values were seen
    TOGETHER = "together"  # each term holds for some, never all for one
    REFUSED_BEFORE = "refused before"  # an earlier gate refuses what it would match
    NOT_PASSED = "not passed"  # its headers are for what passes, and nothing did
    MATCHES = "matches"  # the sample has requests that it matches: it has only begun


@dataclass(frozen=True)
class TermCount:
    """A term of the match: for how many of the sampled requests it holds."""

    term: str
    line: int
    column: int
    holds: int
    of: int


@dataclass(frozen=True)
class Idle:
    """`term`: one that holds for none of the sampled requests. `seen`: what was there in place of
    what the rule wants, the nearest first."""

    why: Why
    reason: str
    sampled: int = 0
    term: TermCount | None = None
    seen: tuple[Instead, ...] = ()
    by: str = ""  # the rule that refuses before
    terms: tuple[TermCount, ...] = field(default=(), kw_only=True)


class Asked(NamedTuple):
    """Whether there were checks lately: any, and about what the rule may match; and such ones of
    other collectors."""

    any: bool
    about: bool
    elsewhere: bool = False


def why_idle(
    compiled: Compiled, snapshot: Snapshot, samples: Sequence[Sampled], asked: Asked
) -> Idle:
    """By what this process was asked."""
    service = compiled.match.service
    if not asked.about:
        return not_asked(service, samples, asked)
    about = [each for each in samples if service is None or each.destination == service]
    if not about:
        return Idle(Why.NOT_SAMPLED, "none of the checks about it was sampled yet")
    judged = [Judged.of(term, about) for term in terms_of(compiled.match.text)]
    found = why_of_sample(compiled, snapshot, about, judged)
    return replace(found, sampled=len(about), terms=tuple(each.told for each in judged))


def not_asked(service: str | None, samples: Sequence[Sampled], asked: Asked) -> Idle:
    if asked.elsewhere:
        return Idle(Why.ELSEWHERE, "other collectors were asked about it, this one was not")
    if service is None or not asked.any:
        return Idle(Why.NO_CHECKS, "no check was asked at all")
    counted = Counter(each.destination for each in samples if each.destination)
    seen = nearest([service], counted)
    others = f"; there were checks about {listed(seen)}" if seen else ""
    if samples and not counted:
        others = f"; those there were had no {DESTINATION}"
    reason = f'no check was about {DESTINATION} "{service}"{others}'
    return Idle(Why.NO_TRAFFIC, reason, len(samples), seen=seen)


class Judged(NamedTuple):
    """One term over the samples that it can be asked of. `faulty`: why it failed, where it is not
    just false."""

    term: Term
    told: TermCount
    failed: Sequence[Sampled]
    faulty: dict[Fault, str]

    @classmethod
    def of(cls, term: Term, samples: Sequence[Sampled]) -> "Judged":
        asked = [each for each in samples if each.known >= {*term.reads}]
        failed: list[Sampled] = []
        faulty: dict[Fault, str] = {}
        for each in asked:
            if fault := term.fault(each.values):
                failed.append(each)
                faulty.setdefault(*fault)
        holds = len(asked) - len(failed)
        told = TermCount(term.text, term.line, term.column, holds, len(asked))
        return cls(term, told, failed, faulty)


def why_of_sample(
    compiled: Compiled, snapshot: Snapshot, about: Sequence[Sampled], judged: Sequence[Judged]
) -> Idle:
    for each in judged:
        if each.failed and not each.told.holds:
            return never(each, about)
    known = [each for each in about if all(each.known >= {*one.term.reads} for one in judged)]
    if not known:
        reason = f"of {len(about)} sampled requests, what it reads is not kept"
        return Idle(Why.NOT_SAMPLED, reason)
    matching = [each for each in known if compiled.match.test(each.values)]
    if not matching:
        reason = f"each term holds for some of {len(known)} sampled requests, all together for none"
        return Idle(Why.TOGETHER, reason)
    return not_counted(compiled, snapshot, matching, len(about))


def never(judged: Judged, samples: Sequence[Sampled]) -> Idle:
    """Of a term that holds for none."""
    term, told = judged.term, judged.told
    if missing := always_absent(term.reads, judged.failed):
        names = ", ".join(map(shown, missing))
        why, seen = Why.ABSENT, names_near(missing[0], samples)
        reason = f"{names} was in none of {told.of} sampled requests"
    elif wrong := judged.faulty.get(Fault.TYPE):
        why, seen, reason = Why.TYPE, (), f"{term.text} fails: {wrong}"
    else:
        why, seen = Why.VALUES, values_instead(term, judged.failed)
        reason = f"{term.text} holds for none of {told.of} sampled requests"
    others = f"; there was {listed(seen)}" if seen else ""
    return Idle(why, reason + others, term=told, seen=seen)


def not_counted(
    compiled: Compiled, snapshot: Snapshot, matching: Sequence[Sampled], sampled: int
) -> Idle:
    """It matches, but something keeps it from being asked."""
    gated = matching[-MAX_GATED:]
    refusers = Counter(refused_before(compiled, snapshot, each) for each in gated)
    if refusers[""] == 0:
        (by, requests), *_ = refusers.most_common(1)
        reason = f"rule {by} refuses {requests} of {len(gated)} sampled requests it matches, before"
        return Idle(Why.REFUSED_BEFORE, reason, by=by)
    if isinstance(compiled, Headers):
        reason = f"{len(matching)} of {sampled} sampled requests match, and none passed"
        return Idle(Why.NOT_PASSED, reason)
    reason = f"it matches {len(matching)} of {sampled} sampled requests: it has just begun"
    return Idle(Why.MATCHES, reason)


def refused_before(compiled: Compiled, snapshot: Snapshot, sampled: Sampled) -> str:
    """The gate that refuses the request before this rule is asked; "" when none does."""
    if isinstance(compiled, Derivation) or (isinstance(compiled, Gate) and compiled.shadow):
        return ""
    for gate in snapshot.candidates(sampled.destination).gates:
        if isinstance(compiled, Gate) and gate.order >= compiled.order:
            return ""
        if not sampled.known >= {*gate.reads}:
            continue
        if gate.match.test(sampled.values) and gate.refuses(sampled.values) is not None:
            return gate.rule.name
    return ""
