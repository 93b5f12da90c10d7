"""Header operations of a rule, as of Mixer 1.1, whose values are literals."""

from typing import Any

from policy.errors import InvalidRule
from policy.expression.nodes import Literal
from policy.expression.syntax import parse
from policy.importing.places import Place, Refused

OPERATIONS = {"REPLACE": "replace", "0": "replace", "REMOVE": "remove", "1": "remove",
              "APPEND": "append", "2": "append"}  # fmt: skip


def headers_document(spec: Place, match: str) -> dict[str, Any] | None:
    """None for a rule that has none."""
    made = {
        "request": operations(spec.get("requestHeaderOperations", "request_header_operations")),
        "response": operations(spec.get("responseHeaderOperations", "response_header_operations")),
    }
    return {"kind": "headers", "match": match, **made} if any(made.values()) else None


def operations(listed: Place | None) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for place in listed.items() if listed else ():
        try:
            found += operation(place)
        except Refused as error:
            error.place.refuse(error.reason)
    return found


def operation(place: Place) -> list[dict[str, str]]:
    """One for each value. Raises Refused."""
    kind = place.get("operation")
    text = kind.text() if kind else "REPLACE"
    if text not in OPERATIONS:
        raise Refused(kind or place, f"{text!r}, expected REPLACE, APPEND or REMOVE")
    named = {"operation": OPERATIONS[text], "name": place.need("name").text().lower()}
    if OPERATIONS[text] == "remove":
        return [named]
    return [{**named, "value": literal_of(value)} for value in place.need("values").items()]


def literal_of(place: Place) -> str:
    """Raises Refused."""
    text = place.text()
    try:
        found = parse(text)
    except InvalidRule as error:
        raise Refused(place, error.reason) from error
    if not isinstance(found, Literal) or not isinstance(found.value, str):
        raise Refused(place, "the value of a header can only be a literal text")
    return found.value
