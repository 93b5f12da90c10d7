"""What a Check answers."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

NOTHING: Mapping[str, str] = MappingProxyType({})


class DecidedBy(StrEnum):
    DEFAULT = "default"  # no rule matched: allowed
    DENY = "deny"  # a rule that refuses by itself: deny, list, authorization
    QUOTA = "quota"  # a quota rule, by its counters
    OWN = "own"  # no rule was asked: it is for meshmeter itself
    FALLBACK = "fallback"  # a quota rule whose counters did not answer in time


class HeaderOperation(NamedTuple):
    """What is done to one header: `replace` sets it, `append` adds a value, `remove` drops it."""

    operation: str
    name: str  # in lower case
    value: str = ""


class Verdict(NamedTuple):
    """What a rule that does not decide would have said of the same request.

    `live` is what the rule's limit in force said beside a draft of it; None for a shadow rule.
    """

    rule: str
    rule_version: int
    allowed: bool
    live: bool | None = None
    reason: str = ""
    limit: int = -1
    remaining: int = -1
    quota_key: str = ""


class Decision(NamedTuple):
    """A denial is a value, not an error. -1: the number does not apply. Times in microseconds.

    A tuple, because a frozen dataclass of these fields takes ten times as long to make.
    """

    id: str
    allowed: bool
    decided_by: DecidedBy
    rule: str = ""
    rule_version: int = 0
    snapshot_version: int = 0
    reason: str = ""
    http_status: int = (
        403  # for a denial: 403 by a deny rule unless it says another, 429 by a quota
    )
    limit: int = -1
    remaining: int = -1
    window_us: int = -1
    reset_us: int = -1  # from now until the quota is whole again
    retry_after_us: int = -1  # from now until the same request could pass
    quota_key: str = ""
    attributes: Mapping[str, str] = NOTHING  # what the deciding rule read
    granted: int = -1  # what the quotas were charged: less than asked for with best effort
    override: str = ""  # of the quota that decided
    lease: str = ""  # to be released when the request is over: it holds a place in flight
    request_headers: tuple[HeaderOperation, ...] = ()  # for the request that passes
    response_headers: tuple[HeaderOperation, ...] = ()  # for its response, or for the refusal
    beside: tuple[Verdict, ...] = ()  # shadow rules and drafts

    @property
    def rule_id(self) -> str:
        """`name@version`, as sent to sidecars; "" when no rule decided."""
        return f"{self.rule}@{self.rule_version}" if self.rule else ""
