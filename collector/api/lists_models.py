"""The lists API's answers, as its documentation shows them. A list itself is policy.lists'."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from policy.lists import EntryType

MAX_VALUE = 65_536  # characters

Seconds = Annotated[float, Field(description="seconds since 1970")]


class ListLine(BaseModel):
    """A list without its entries."""

    name: str
    description: str
    entry_type: EntryType
    case_insensitive: bool
    length: int | None = Field(description="how many entries of its own; null: it has a source")
    url: str | None
    file: str | None
    refresh: float
    ttl: float
    version: int


class ListState(BaseModel):
    """How a list fares in the collector that is asked."""

    version: int = Field(description="of the list as it is in force here; 0: not yet")
    source: str = Field(description="a URL or a file; empty: its entries are its own")
    available: bool = Field(description="false: never fetched; its rules answer on_unavailable")
    entries: int = Field(description="in force")
    fetched_at: Seconds | None = Field(description="when the source last gave or confirmed them")
    age: float | None = Field(description="seconds since then")
    stale: bool = Field(description="older than the list's ttl, or never fetched")
    error: str = Field(description="why the newest entries are not in force; empty: they are")
    failing_since: Seconds | None
    etag: str = Field(description="of the source's last answer")
    notes: list[str] = Field(description="entries that repeat, or are not what they look like")
    fetches: int = Field(description="since this collector began")
    failures: int = Field(description="of these")
    unanswered: int = Field(description="times a rule asked while it was not available")


NOT_YET: dict[str, Any] = {
    "version": 0, "source": "", "available": False, "entries": 0, "fetched_at": None, "age": None,
    "stale": False, "error": "not in force in this collector yet", "failing_since": None,
    "etag": "", "notes": [], "fetches": 0, "failures": 0, "unanswered": 0,
}  # fmt: skip


class ListQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    value: str = Field(max_length=MAX_VALUE, description="a text, or an address", examples=["ann"])


class ListAnswer(BaseModel):
    available: bool = Field(description="false: never fetched; its rules answer on_unavailable")
    on_list: bool
    entry: str | None = Field(
        description="an entry that it is on the list by; of several the widest or the first"
    )
