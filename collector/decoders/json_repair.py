"""JSON that is nearly right, made right: text that is no Unicode, null for what is absent."""

import re
from typing import Any

# In order: a pair of surrogates, half a pair, any other escape (which may be a backslash's own).
ESCAPE = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|(\\.)"
)
NULLS_DEPTH = 64  # below it null stays null


def repaired(body: bytes) -> bytes:
    """With U+FFFD for bytes that are no UTF-8 and for half surrogate pairs."""
    text = body.decode("utf-8", "replace").encode()
    return ESCAPE.sub(lambda found: rb"\ufffd" if found[2] else found[0], text)


def without_nulls(value: Any, depth: int = 0) -> Any:
    """No field is null: protobuf's mapping means by it that there is none.

    Bytes are brought to the one alphabet of base64 that has + and /, with their padding.
    """
    if depth == NULLS_DEPTH:
        return value
    if isinstance(value, list):
        return [without_nulls(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    found = {
        key: without_nulls(inner, depth + 1) for key, inner in value.items() if inner is not None
    }
    told = found.get("bytesValue")
    if isinstance(told, str):
        plain = told.rstrip("=").replace("-", "+").replace("_", "/")
        found["bytesValue"] = plain + "=" * (-len(plain) % 4)
    return found
