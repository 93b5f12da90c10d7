"""The rules API's JSON, as its documentation shows it. The rules themselves check the values."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import Body
from pydantic import BaseModel, Field

from collector.api.bodies import DescribedAs
from policy.kinds import KINDS, AnyRule

KindName = StrEnum("KindName", [*KINDS])  # type: ignore[misc]  # as many as there are
RuleBody = Annotated[AnyRule, Field(discriminator="kind")]
RuleSent = Annotated[
    dict[str, Any],
    DescribedAs(RuleBody),
    Body(
        openapi_examples={
            "quota": {
                "summary": "100 a second for each user",
                "value": {
                    "kind": "quota",
                    "name": "calm",
                    "match": 'destination.service == "cart.shop"',
                    "dimensions": ['request.headers["x-user"] | "anonymous"'],
                    "limit": 100,
                    "window": 1,
                },
            },
            "deny": {
                "summary": "nobody from batch",
                "value": {
                    "kind": "deny",
                    "name": "no-batch",
                    "match": 'source.service == "batch.shop"',
                    "message": "use the export instead",
                },
            },
        }
    ),
]
RulePatch = Annotated[
    dict[str, Any],
    Body(
        description="only the fields that are to change; name and kind stay",
        examples=[{"limit": 200}],
    ),
]


class Validity(BaseModel):
    valid: bool = Field(description="always true: a rule that is not gets 422")
    kind: str
    reads: list[str] = Field(description="the attributes it may read")
    destination: str = Field(
        description="the only destination.service it matches, by which it is found; empty: any"
    )
    cautions: list[str] = Field(
        description="texts of it with mixed scripts or hidden characters, which may pass for others"
    )
