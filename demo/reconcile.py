"""Whether the sidecars, the collector and the store tell the same story."""

from dataclasses import dataclass

from demo.counters import SidecarCounters
from demo.stored import Stored


@dataclass(frozen=True)
class Accounts:
    """The three books of one run: `checks` is what the collector counted."""

    envoy: SidecarCounters
    checks: int
    stored: Stored


def disagreements(accounts: Accounts) -> list[str]:
    """One sentence each; none when the books agree.

    A check that Envoy gave up on may or may not have been decided, so it may be counted by the
    collector, and recorded as a denial, or not.
    """
    envoy, stored = accounts.envoy, accounts.stored
    answered = envoy.allowed + envoy.denied
    lost = envoy.unanswered
    found = [
        differ("requests", envoy.requests, "Envoys completed", stored.requests, "stored"),
        differ("denials", envoy.denied, "Envoys saw", stored.denied, "stored", lost),
        differ("checks", answered, "Envoys saw answered", accounts.checks, "counted", lost),
        differ("spans", envoy.spans_sent, "Envoys sent", stored.spans, "stored"),
        f"{stored.duplicates} rows are stored twice" if stored.duplicates else "",
        f"{stored.dead_letters} items were refused" if stored.dead_letters else "",
        "the Envoys completed no request" if not envoy.requests else "",
    ]
    return [sentence for sentence in found if sentence]


def differ(what: str, here: int, here_is: str, there: int, there_is: str, more: int = 0) -> str:
    """Empty when `there` is what is `here`, or up to `more` above."""
    if here <= there <= here + more:
        return ""
    return f"{what} differ by {there - here:+d}: {here_is} {here}, {there} are {there_is}"
