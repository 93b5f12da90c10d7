"""A list that rules name: its entries, or where a collector fetches them."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator

from policy.documents import Document, Listed, Name, checked_by, fault, invalid, short
from policy.errors import InvalidRule
from policy.lists.entries import EntryList, EntryType, compile_entries

MAX_URL = 2048
MAX_REFRESH_S = 7 * 86_400
SOURCES = ("entries", "url", "file")


def fetchable(url: str | None) -> None:
    """Raises InvalidRule unless it is an http or https URL that says all there is to say."""
    if url is None:
        return
    if len(url) > MAX_URL:
        raise InvalidRule("", f"longer than {MAX_URL} characters")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidRule("", "expected ASCII without spaces; write others as %XX")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # a port that is none raises
    except ValueError as error:
        raise InvalidRule("", f"not a URL: {error}") from error
    if parts.scheme not in ("http", "https"):
        raise InvalidRule("", "expected a URL of http or https")
    if not host:
        raise InvalidRule("", "has no host")
    if "@" in parts.netloc:
        raise InvalidRule("", "holds a user or a password, which all who read the list would see")
    if parts.fragment:
        raise InvalidRule("", "has a fragment (#), which is never sent")


def relative(file: str | None) -> None:
    """Raises InvalidRule unless it is a path below wherever it is looked for."""
    if file is None:
        return
    short(file)
    if not file.isprintable():
        raise InvalidRule("", "holds a character that cannot be printed")
    if file.startswith("/") or not file or {"", ".", ".."} & set(file.split("/")):
        raise InvalidRule("", "expected a path below the directory of lists, such as blocked.txt")


class NamedList(Document):
    """Entries that several rules may ask. Exactly one of `entries`, `url` and `file` is given."""

    name: Name
    description: Annotated[str, checked_by(short), Field(description="for people")] = ""
    entry_type: Annotated[
        EntryType, Listed, Field(description="literal, prefix, regex (RE2) or cidr")
    ]
    case_insensitive: Annotated[bool, Field(description="not for cidr")] = False
    entries: Annotated[
        tuple[str, ...] | None, Listed, Field(description="what is on the list", examples=[["ann"]])
    ] = None
    url: Annotated[
        str | None, checked_by(fetchable), Field(description="http or https, fetched anew")
    ] = None
    file: Annotated[
        str | None,
        checked_by(relative),
        Field(description="a path below the collectors' MESHMETER_LISTS_DIR, read anew"),
    ] = None
    refresh: Annotated[
        float, Field(ge=1, le=MAX_REFRESH_S, description="seconds between two looks at the source")
    ] = 60.0
    ttl: Annotated[
        float,
        Field(
            ge=1,
            le=MAX_REFRESH_S,
            description="seconds after which entries that could not be refreshed are called stale",
        ),
    ] = 300.0
    version: Annotated[
        int,
        Field(
            description="grows by one with each change, and is the ETag; ignored in what is sent"
        ),
    ] = 0

    @model_validator(mode="after")
    def _whole(self) -> "NamedList":
        try:
            self._check()
        except InvalidRule as error:
            raise fault(error) from error
        return self

    def _check(self) -> None:
        given = [source for source in SOURCES if getattr(self, source) is not None]
        if len(given) != 1:
            place = f"/{given[1]}" if given else "/entries"
            raise InvalidRule(place, f"expected exactly one of {', '.join(SOURCES)}")
        if self.ttl < self.refresh:
            raise InvalidRule("/ttl", "shorter than refresh: every list would be stale")
        self.compile(self.entries or ())

    @property
    def source(self) -> str:
        """Where the entries come from; "" when they are the list's own."""
        return self.url or self.file or ""

    def compile(self, entries: tuple[str, ...]) -> EntryList:
        """These entries as a list of this type. Raises InvalidRule."""
        return compile_entries(entries, self.entry_type, case_insensitive=self.case_insensitive)


def list_from_json(document: Mapping[str, Any]) -> NamedList:
    """Raises InvalidRule, also for a field that is not known."""
    try:
        return NamedList.model_validate(dict(document))
    except ValidationError as error:
        raise invalid(error) from error


def list_to_json(named: NamedList) -> dict[str, Any]:
    """What `list_from_json` reads, every key present."""
    return named.model_dump(mode="json")


def numbered_list(named: NamedList, version: int) -> NamedList:
    return named.model_copy(update={"version": version})
