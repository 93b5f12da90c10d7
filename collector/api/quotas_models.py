"""The JSON of quotas' parts and of their use, as the API's documentation shows it."""

from typing import Annotated, Any

from fastapi import Body
from pydantic import BaseModel, Field

from collector.api.bodies import STRICT, DescribedAs
from policy.acts import MAX_REASON
from policy.kinds.quota import Limited, OverrideDocument
from policy.meter import MAX_AMOUNT

MAX_KEY = 16
OverrideSent = Annotated[
    dict[str, Any],
    DescribedAs(OverrideDocument),
    Body(
        examples=[
            {"name": "batch", "when": {"source.service": "batch*"}, "limit": 5, "window": 1},
        ]
    ),
]
DraftSent = Annotated[
    dict[str, Any], DescribedAs(Limited), Body(examples=[{"limit": 50, "window": 1}])
]


class ConsumerAnswer(BaseModel):
    """One counter that something is used of."""

    key: str = Field(description="the values of the dimensions; long ones are cut")
    limit_id: str = Field(
        description="which limit: its place among the rule's; NAME.0 of an override, draft-0 of the"
        " draft"
    )
    used: int
    limit: int = Field(description="a token bucket's burst")
    remaining: int
    reset_us: int = Field(description="from now until it is whole again, microseconds")
    leased: int = Field(description="of what is used, held in advance by collectors")


class UsageAnswer(BaseModel):
    rule_version: int
    complete: bool = Field(description="false: there are more counters than were looked at")
    consumers: list[ConsumerAnswer] = Field(description="the most used first")


class ConsumerSent(BaseModel):
    model_config = STRICT

    key: list[str] = Field(
        max_length=MAX_KEY,
        description="a value for each dimension of the rule, in its order",
        examples=[["batch.shop", "ann"]],
    )
    reason: str = Field(
        min_length=1, max_length=MAX_REASON, description="why", examples=["a retry storm"]
    )


class GrantSent(ConsumerSent):
    amount: int = Field(ge=1, le=MAX_AMOUNT, description="to give back", examples=[10])


class LeftAnswer(BaseModel):
    limit_id: str = Field(description="as in the usage")
    limit: int
    remaining: int
    reset_us: int


class DoneAnswer(BaseModel):
    """One consumer's counters before and after."""

    override: str = Field(description="that counts for it; empty: the rule's own limits")
    before: list[LeftAnswer]
    after: list[LeftAnswer]
