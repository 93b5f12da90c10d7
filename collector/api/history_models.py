"""The JSON of versions and of the audit log, as its documentation shows it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from collector.api.bodies import STRICT
from policy.acts import MAX_REASON, Resource

Change = Literal["added", "changed", "removed"]
Document = dict[str, Any]


class ReasonBody(BaseModel):
    model_config = STRICT

    reason: str = Field(
        min_length=1, max_length=MAX_REASON, description="why", examples=["too many refusals"]
    )


class TouchedAnswer(BaseModel):
    resource: Resource
    name: str
    change: Change


class VersionAnswer(BaseModel):
    """What made the rule set as it is at this version."""

    version: int = Field(description="of the whole set; each act that changes it adds one")
    time: datetime | None = Field(description="of version 0, the empty set: null")
    actor: str = Field(description="who, as they said; or the peer", examples=["ann"])
    peer: str = Field(description="the address they came from", examples=["10.0.0.7"])
    action: str = Field(description="create, update, delete, enable, …", examples=["update"])
    reason: str = Field(description="why, as they said")
    changes: int = Field(description="how many rules and lists it changed")
    touched: list[TouchedAnswer] = Field(description="the first twenty of these")


class SetAnswer(VersionAnswer):
    """A version, and all that was in it."""

    lists: list[Document] = Field(description="by name")
    rules: list[Document] = Field(description="by name, as they were written then")


class FieldAnswer(BaseModel):
    place: str = Field(
        description="a JSON pointer; entries that have names are told by these",
        examples=["/overrides/batch/limit"],
    )
    before: Any = Field(description="null: there was none")
    after: Any = Field(description="null: there is none")


class DifferenceAnswer(BaseModel):
    resource: Resource
    name: str
    change: Change
    before: Document | None = Field(description="the whole of what was removed")
    after: Document | None = Field(description="the whole of what was added")
    fields: list[FieldAnswer] = Field(description="what differs in what was changed")


class EntryAnswer(BaseModel):
    """Who did what to what, why, and when."""

    id: int
    time: datetime
    actor: str = Field(description="who, as they said; or the peer", examples=["ann"])
    peer: str = Field(description="the address they came from", examples=["10.0.0.7"])
    action: str = Field(description="create, update, delete, rollback, reset, grant, …")
    reason: str = Field(description="why, as they said")
    version: int | None = Field(description="the rule set's after it; null: it did not change")
    resource: Resource
    name: str = Field(description="of the rule or list; of a counter: its rule's")
    before: Document | None = Field(description="null: there was none")
    after: Document | None = Field(description="null: there is none")
