"""Who changes something, why, and based on which version: the headers of every change.

`x-meshmeter-actor` is believed: the API knows no users, so whatever lets people in sets it. The
address that the request came from cannot be claimed, and is recorded beside.
"""

from typing import Annotated

from fastapi import Depends, Header, Request, Response

from policy.acts import MAX_NAME, MAX_REASON, By
from policy.errors import InvalidRule

ACTOR = "x-meshmeter-actor"
REASON = "x-meshmeter-reason"
IMPOSSIBLE = -1  # no version of anything
ACTOR_HELP = "who you are, for the audit log; none: the address you come from"
REASON_HELP = "why, for the audit log"

IfMatch = Annotated[
    str | None, Header(description='the ETag the change is based on, such as "3"; * or none: any')
]


def peer(request: Request) -> str:
    """The address that the request came from."""
    return request.client.host if request.client else ""


def author(
    request: Request,
    actor: Annotated[str, Header(alias=ACTOR, description=ACTOR_HELP)] = "",
    reason: Annotated[str, Header(alias=REASON, description=REASON_HELP)] = "",
) -> By:
    """Raises InvalidRule for what cannot be kept as it was sent."""
    return By(text(ACTOR, actor, MAX_NAME), text(REASON, reason, MAX_REASON), peer(request))


Author = Annotated[By, Depends(author)]


def text(name: str, sent: str, longest: int) -> str:
    """What the header says: UTF-8, which the framework reads as Latin-1."""
    try:
        found = sent.encode("latin-1").decode().strip()
    except UnicodeDecodeError as error:
        raise InvalidRule("", f"the header {name} is not UTF-8") from error
    if len(found) > longest:
        raise InvalidRule("", f"the header {name} is longer than {longest} characters")
    if not found.isprintable():
        raise InvalidRule("", f"the header {name} holds a character that cannot be printed")
    return found


def expected_version(if_match: str | None) -> int | None:
    """None: any. What no version of ours can be is IMPOSSIBLE."""
    if if_match is None or if_match.strip() == "*":
        return None
    tag = if_match.strip().removeprefix("W/").strip('"')
    return int(tag) if tag.isascii() and tag.isdigit() and len(tag) < 19 else IMPOSSIBLE


def tag(response: Response, version: int) -> None:
    response.headers["etag"] = f'"{version}"'
