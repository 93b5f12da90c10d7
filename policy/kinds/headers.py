"""Changes headers of a request that passes, and of its response."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from policy.documents import (
    MAX_HEADERS,
    Document,
    HeaderName,
    HeaderValue,
    Listed,
    Rule,
    fault,
)
from policy.errors import InvalidRule
from policy.expression import Match
from policy.lists import HeldLists
from policy.results import HeaderOperation
from policy.stages import Headers

# What makes a request another request, or is the proxy's own.
RESERVED = ("connection", "content-length", "host", "transfer-encoding", "upgrade", "te", "trailer")


class Operation(Document):
    operation: Annotated[
        Literal["replace", "append", "remove"],
        Field(description="set it, add a value, or take it away"),
    ]
    name: HeaderName
    value: HeaderValue = ""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.name in RESERVED:
            raise fault(InvalidRule("/name", f"{self.name} cannot be changed"))
        if self.operation == "remove" and self.value:
            raise fault(InvalidRule("/value", "what is removed has no value"))
        return self


Operations = Annotated[
    tuple[Operation, ...], Listed, Field(max_length=MAX_HEADERS, description="in this order")
]


class HeadersRule(Rule):
    """Changes headers of what it matches, when the request passes."""

    kind: Literal["headers"] = "headers"
    request: Operations = ()
    response: Operations = ()

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.request and not self.response:
            raise fault(InvalidRule("/request", "expected an operation, here or in response"))
        for index, operation in enumerate(self.response):
            if operation.operation == "remove":
                place = f"/response/{index}/operation"
                raise fault(InvalidRule(place, "no sidecar can remove a response's header"))
        return self

    def compile(self, match: Match, _lists: HeldLists) -> Headers:
        return Headers(self, match, match.reads, prepared(self.request), prepared(self.response))


def prepared(operations: tuple[Operation, ...]) -> tuple[HeaderOperation, ...]:
    return tuple(HeaderOperation(op.operation, op.name, op.value) for op in operations)
