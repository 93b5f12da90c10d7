"""Attribute values as the text that is stored."""

import json
import math
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from collector.decoders import otlp_json_values as json_values
from collector.decoders.limits import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_KEY_BYTES,
    MAX_VALUE_BYTES,
)

Value = AnyValue | json_values.AnyValue

DROPPED = "meshmeter.dropped_attributes"  # how many were over a limit
CUT = "meshmeter.cut_values"  # how many were cut at MAX_VALUE_BYTES

# A text with this many characters or fewer cannot have more bytes than the limit.
SHORT = MAX_VALUE_BYTES // 4
SHORT_KEY = MAX_KEY_BYTES // 4


def cut(text: str, size: int = MAX_VALUE_BYTES) -> str:
    """At most `size` bytes of it, in whole characters."""
    if len(text) * 4 <= size:
        return text
    return text.encode()[:size].decode(errors="ignore")


def texts(attributes: Iterable[KeyValue | json_values.KeyValue]) -> dict[str, str]:
    """By key; of two with one key the last counts. Keeps to the limits, and says when it did."""
    found: dict[str, str] = {}
    long = False
    for attribute in attributes:
        value = attribute.value
        text = value.string_value or plain(value)
        key = attribute.key
        found[key] = text
        if len(text) > SHORT or len(key) > SHORT_KEY:
            long = True
    return limited(found) if long or len(found) > MAX_ATTRIBUTES or "" in found else found


def limited(found: dict[str, str]) -> dict[str, str]:
    """The first MAX_ATTRIBUTES with a proper key, values cut; what that took away is flagged."""
    kept: dict[str, str] = {}
    shortened = 0
    for key, text in found.items():
        if len(kept) == MAX_ATTRIBUTES:
            break
        if key and len(key.encode()) <= MAX_KEY_BYTES:
            kept[key] = cut(text)
            shortened += kept[key] != text
    dropped = len(found) - len(kept)
    if dropped:
        kept[DROPPED] = str(dropped)
    if shortened:
        kept[CUT] = str(shortened)
    return kept


def plain(value: Value) -> str:
    """Numbers as they are, booleans as in JSON, bytes in base64, lists and maps as JSON."""
    kind = value.WhichOneof("value")
    if kind is None or kind == "string_value":
        return value.string_value or ""
    if kind == "int_value":
        return str(value.int_value)
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    found = jsonable(value, 0)
    if isinstance(found, str):
        return found
    return json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def jsonable(value: Value, depth: int) -> Any:
    """Deeper than MAX_DEPTH is "…"; what JSON has no number for is text."""
    kind = value.WhichOneof("value")
    found: Any = getattr(value, kind) if kind else None
    match kind:
        case "string_value" | "bool_value" | "int_value":
            return found
        case "double_value":
            return found if math.isfinite(found) else str(found)
        case "bytes_value":
            return b64encode(found).decode()
        case "array_value":
            if depth == MAX_DEPTH:
                return "…"
            return [jsonable(item, depth + 1) for item in found.values]
        case "kvlist_value":
            if depth == MAX_DEPTH:
                return "…"
            return {pair.key: jsonable(pair.value, depth + 1) for pair in found.values}
        case _:
            return None
