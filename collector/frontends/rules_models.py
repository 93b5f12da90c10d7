"""The rules API's JSON, as its documentation shows it. The rules themselves check the values."""

from typing import Annotated, Any

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field

from policy.kinds import AnyRule

STRICT = ConfigDict(extra="forbid", strict=True)
MAX_HITS = 2**32 - 1

RuleBody = Annotated[AnyRule, Field(discriminator="kind")]
RulePatch = Annotated[
    dict[str, Any],
    Body(description="only the fields that are to change; name and kind stay"),
]


class Validity(BaseModel):
    valid: bool = Field(description="always true: a rule that is not gets 422")
    kind: str
    reads: list[str] = Field(description="the attributes it may read")
    destination: str = Field(
        description="the only destination.service it matches, by which it is found; empty: any"
    )


class CheckQuestion(BaseModel):
    model_config = STRICT

    attributes: dict[str, Any] = Field(
        description="names of the vocabulary to values; durations as 1.5s, times as RFC 3339",
        examples=[{"destination.service": "b.default", "source.service": "a.default"}],
    )
    hits: int = Field(
        1, ge=0, le=MAX_HITS, description="charged to each quota that matches; 0 asks only"
    )
    best_effort: bool = Field(False, description="take what is left when not all of it is there")
    dedup_id: str = Field(
        "", max_length=256, description="the same id again, by the same peer, is charged once"
    )


class HeaderAnswer(BaseModel):
    operation: str = Field(description="replace, append or remove")
    name: str
    value: str


class VerdictAnswer(BaseModel):
    rule: str
    rule_version: int
    allowed: bool
    live: bool | None = Field(description="of a draft: what the limit in force said")
    reason: str
    limit: int
    remaining: int
    quota_key: str


class CheckAnswer(BaseModel):
    """Numbers are -1 where they do not apply; times are microseconds from now."""

    id: str
    allowed: bool
    decided_by: str = Field(description="default, deny, quota, fallback or own")
    rule: str
    rule_version: int
    snapshot_version: int
    reason: str
    http_status: int = Field(description="for a denial")
    limit: int
    remaining: int
    window_us: int
    reset_us: int
    retry_after_us: int
    quota_key: str
    attributes: dict[str, str] = Field(description="what the deciding rule read")
    granted: int = Field(description="what the quotas were charged")
    override: str = Field(description="of the quota that decided; empty: its own limits")
    lease: str = Field(description="to be released when the request is over; empty: nothing is")
    request_headers: list[HeaderAnswer]
    response_headers: list[HeaderAnswer]
    beside: list[VerdictAnswer] = Field(description="what shadow rules and drafts would have said")


class Lease(BaseModel):
    model_config = STRICT

    lease: str = Field(min_length=1, max_length=8192, description="`lease` of a check's answer")


class Released(BaseModel):
    released: int = Field(description="how much was given back, of all quotas together")


class SnapshotAnswer(BaseModel):
    version: int = Field(description="of the whole set of rules; -1 before any were loaded")
    failing: str = Field(description="why newer rules are not in force; empty: they are")
