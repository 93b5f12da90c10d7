"""What all kinds of rules share. A rule is its JSON document, checked: one that exists can be run.

Faults are InvalidRule with a JSON pointer into the document, whoever finds them.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationError
from pydantic_core import PydanticCustomError

from policy.errors import InvalidRule
from policy.expression import compile_match

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)  # a DNS label
HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)  # RFC 9110, in lower case
MAX_TEXT = 1024
MAX_HEADERS = 32


class Mode(StrEnum):
    ENABLED = "enabled"
    SHADOW = "shadow"  # evaluated and recorded, never decides
    DISABLED = "disabled"


def fault(error: InvalidRule) -> PydanticCustomError:
    """The same fault, for the framework to say where it was found."""
    found = {"reason": error.reason, "at": error.place, "line": error.line, "column": error.column}
    return PydanticCustomError("invalid_rule", "{reason}", found)


def invalid(error: ValidationError) -> InvalidRule:
    """The framework's first complaint as ours."""
    return invalid_at(error.errors(include_url=False, include_input=False)[0])


def invalid_at(complaint: Any, skip: int = 0) -> InvalidRule:
    """One of the framework's complaints; the first `skip` parts of its place are not the rule's."""
    place = pointer(complaint["loc"][skip:])
    match complaint["type"]:
        case "invalid_rule":
            found = complaint["ctx"]
            return InvalidRule(place + found["at"], found["reason"], found["line"], found["column"])
        case "missing":
            return InvalidRule(place, "is required")
        case "extra_forbidden":
            return InvalidRule(place, "there is no such field here")
    text = str(complaint["msg"])
    return InvalidRule(place, text.replace("Input should be", "expected", 1))


def pointer(parts: Any) -> str:
    """Source: RFC 6901."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return "".join(f"/{part}" for part in escaped)


def checked_by(check: Callable[[Any], Any]) -> AfterValidator:
    """A validator of a function that raises InvalidRule; the value stays as it is."""

    def validate(value: Any) -> Any:
        try:
            check(value)
        except InvalidRule as error:
            raise fault(error) from error
        return value

    return AfterValidator(validate)


def dns_label(text: str) -> None:
    if not NAME.fullmatch(text):
        raise InvalidRule("", "expected a DNS label: a-z, 0-9 and -, at most 63")


def printable(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise InvalidRule("", f"longer than {MAX_TEXT} characters")
    if not text.isprintable():
        raise InvalidRule("", "holds a character that cannot be printed")


def short(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise InvalidRule("", f"longer than {MAX_TEXT} characters")


def header_name(text: str) -> None:
    if not HEADER.fullmatch(text):
        raise InvalidRule("", f"{text!r} is no header name in lower case")


def header_fields(headers: dict[str, str]) -> None:
    if len(headers) > MAX_HEADERS:
        raise InvalidRule("", f"more than {MAX_HEADERS}")
    for name, value in headers.items():
        place = pointer([name])
        for check, text in ((header_name, name), (header_value, value)):
            try:
                check(text)
            except InvalidRule as error:
                raise error.within(place) from error


def header_value(text: str) -> None:
    printable(text)
    if not text.isascii():
        raise InvalidRule("", "expected ASCII")


Name = Annotated[
    str,
    checked_by(dns_label),
    Field(description="a DNS label, unique: a-z, 0-9 and -, at most 63", examples=["calm"]),
]
MatchText = Annotated[
    str,
    checked_by(compile_match),
    Field(
        description="which requests, a match expression; empty: all",
        examples=['destination.service == "b.default" && source.service == "a.default"'],
    ),
]
HeaderName = Annotated[str, checked_by(header_name), Field(description="in lower case")]
HeaderValue = Annotated[str, checked_by(header_value)]
Message = Annotated[
    str, checked_by(printable), Field(description="why, told to the caller; empty: the rule's name")
]
Headers = Annotated[
    dict[str, HeaderValue],
    checked_by(header_fields),
    Field(description="headers of the refusal, by name in lower case"),
]
HttpStatus = Annotated[
    int, Field(ge=400, le=599, description="what the caller is told, 400 to 599")
]
Listed = Strict(strict=False)  # a JSON array for a tuple, a JSON string for an enumeration


class Document(BaseModel):
    """A part of a rule: immutable, strict, and without fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Rule(Document):
    kind: str
    name: Name
    match: MatchText = ""
    description: Annotated[str, checked_by(short), Field(description="for people")] = ""
    mode: Annotated[
        Mode,
        Listed,
        Field(description="enabled; shadow: evaluated and recorded, never decides; disabled"),
    ] = Mode.ENABLED
    priority: Annotated[
        int, Field(ge=-1_000_000, le=1_000_000, description="lower is asked first, then by name")
    ] = 0
    version: Annotated[
        int,
        Field(
            description="grows by one with each change, and is the ETag; ignored in what is sent"
        ),
    ] = 0


class OnBackendError(StrEnum):
    """What a quota answers while its counters do not."""

    OPEN = "open"  # allow
    CLOSED = "closed"  # deny
    LOCAL = "local"  # count in this process


class Refusing(Rule):
    """A rule that may refuse a request, and what is told then."""

    http_status: HttpStatus = 403
    message: Message = ""
    headers: Headers = {}


class Limiting(Refusing):
    """A rule that refuses by its counters."""

    on_backend_error: Annotated[
        OnBackendError,
        Listed,
        Field(
            description="while the counters do not answer: allow, deny, or count in the collector"
        ),
    ] = OnBackendError.LOCAL
