"""The JSON of checks, as the API's documentation shows it."""

from typing import Any

from pydantic import BaseModel, Field

from collector.api.bodies import STRICT

MAX_HITS = 2**32 - 1


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
