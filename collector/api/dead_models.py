"""What the API tells of what could not be stored."""

from pydantic import BaseModel, Field


class PartAnswer(BaseModel):
    signal: str
    client: str = Field(description="who sent it")
    reports: int
    items: int


class DeadGroupAnswer(BaseModel):
    group: int = Field(description="its number in this collector")
    reports: int
    bytes: int
    attempts: int = Field(description="how often it was tried")
    reason: str = Field(description="what the last attempt ended with, and where")
    since: str = Field(description="when it was given up")
    received: str = Field(description="when the first of its reports came")
    parts: list[PartAnswer] = Field(description="whose it is")


class DeadReportAnswer(BaseModel):
    number: int = Field(description="in the group, from 0")
    signal: str
    client: str
    received: str
    items: int
    bytes: int
    body: str = Field(description="in base64, the first 64 KiB")


class DeadGroupContents(DeadGroupAnswer):
    contents: list[DeadReportAnswer]


class Replayed(BaseModel):
    group: int
    replayed: bool = Field(description="it is sent to be stored again")


class ReplayedLetter(BaseModel):
    id: str
    stored: bool = Field(description="it is in ClickHouse, once, now or since before")
    reason: str = Field(description="why it is not")


class DeadLetterAnswer(BaseModel):
    id: str
    time: str = Field(description="when its request was accepted")
    signal: str
    reason: str = Field(description="one of a fixed list")
    detail: str = Field(description="field and limit")
    client: str = Field(description="who sent it")
    copies: int = Field(description="of the same bytes, in one request or several sent together")
    replayable: bool = Field(description="all of it is kept, and what it came in")
    item: str = Field(description="in base64, as it was sent, the first 64 KiB")
