"""Decisions that were made, as JSON. Its names are those of the columns of table `decisions`."""

from typing import Any

from pydantic import BaseModel, Field

from collector.decisions.decided import StoredDecision
from collector.times import rfc3339
from policy.results import Decision

OF_A_SHADOW = -1  # in `beside_live`


class SaidBeside(BaseModel):
    rule: str
    rule_version: int
    allowed: bool
    live: bool | None = Field(description="of a draft: what the limit in force said")
    quota_key: str


class DecisionAnswer(BaseModel):
    """Numbers of a quota are -1 where there is none. What is not known is left out."""

    id: str
    time: str | None = None
    allowed: bool
    decided_by: str = Field(description="default, deny, quota, fallback or own")
    rule: str = Field(description="the rule that decided; empty: none did")
    rule_version: int
    snapshot_version: int
    reason: str
    http_status: int | None = Field(None, description="of a denial; 0: allowed")
    protocol: str | None = Field(None, description="the front-end that asked")
    source: str | None = None
    destination: str | None = None
    source_principal: str | None = None
    method: str | None = None
    path: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    quota_limit: int
    quota_remaining: int
    quota_granted: int = Field(description="what was charged")
    quota_key: str = Field(description="the values of its dimensions")
    quota_override: str
    attributes: dict[str, str] = Field(description="what the rule that decided read")
    beside: list[SaidBeside] = Field(description="what shadow rules and drafts would have said")
    weight: float | None = Field(None, description="how many decisions this one stands for")
    recorded: bool = Field(description="false: an allow outside the sample, soon forgotten")
    origin: str = Field(alias="from", description="memory: this collector's; else store")


class DecisionPage(BaseModel):
    decisions: list[DecisionAnswer] = Field(description="the newest first")
    total: int = Field(description="on all pages")
    total_is_exact: bool = Field(description="false: there are at least so many")
    requests: float = Field(description="how many those counted stand for: their weights' sum")
    next: str | None = Field(description="the cursor of the next page; null: this is the last")
    allow_sample: float = Field(
        description="share of allows that this collector records; denials always are"
    )


def recorded(row: StoredDecision, origin: str) -> dict[str, Any]:
    found = row._asdict()
    keys = row.beside_key or [""] * len(row.beside_rule)  # rows of an older version have none
    for name in ("rule", "version", "allowed", "live", "key"):
        del found[f"beside_{name}"]
    return found | {
        "time": rfc3339(found.pop("time_ns")),
        "beside": [
            said(rule, version, bool(allowed), None if live == OF_A_SHADOW else bool(live), key)
            for rule, version, allowed, live, key in zip(
                row.beside_rule,
                row.beside_version,
                row.beside_allowed,
                row.beside_live,
                keys,
                strict=True,
            )
        ],
        "from": origin,
        "recorded": True,
    }


def unrecorded(decision: Decision) -> dict[str, Any]:
    """All that is known of it, which is nothing of the request."""
    return {
        "id": decision.id,
        "allowed": decision.allowed,
        "decided_by": str(decision.decided_by),
        "rule": decision.rule,
        "rule_version": decision.rule_version,
        "snapshot_version": decision.snapshot_version,
        "reason": decision.reason,
        "quota_limit": decision.limit,
        "quota_remaining": decision.remaining,
        "quota_granted": decision.granted,
        "quota_key": decision.quota_key,
        "quota_override": decision.override,
        "attributes": dict(decision.attributes),
        "beside": [
            said(each.rule, each.rule_version, each.allowed, each.live, each.quota_key)
            for each in decision.beside
        ],
        "from": "memory",
        "recorded": False,
    }


def said(rule: str, version: int, allowed: bool, live: bool | None, key: str) -> dict[str, Any]:
    """What a shadow rule, or a draft, would have said."""
    return {
        "rule": rule,
        "rule_version": version,
        "allowed": allowed,
        "live": live,
        "quota_key": key,
    }
