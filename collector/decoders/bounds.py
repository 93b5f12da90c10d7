"""How much a body would become, told before it becomes so.

Two bytes of protobuf are an empty message, and that is some fifty in memory: 16 MiB of them took
500. So what is large is counted first, and only as far as the limit.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, cast

from google.protobuf.descriptor import FieldDescriptor

from collector.decoders.limits import MAX_ITEMS, MAX_PARTS
from collector.decoders.wire import messages
from collector.errors import TooLarge

LARGE_BYTES = 1024 * 1024  # what is no larger can be read whatever it holds
LARGE_ITEM_BYTES = 256 * 1024

TOO_MANY = f"a request may hold {MAX_ITEMS} items, their scopes and resources included"
TOO_FULL = f"an item may hold {MAX_PARTS} attributes and other parts"


def refuse_crowd(body: bytes, *path: Iterable[int]) -> None:
    """Raises TooLarge for over MAX_ITEMS messages on a path, and Unreadable.

    `path` has the numbers of the fields to follow from the outermost message, level by level.
    """
    if len(body) <= LARGE_BYTES:
        return
    count, level = 0, [view(body)]
    for depth, fields in enumerate(path, 1):
        below = []
        for message in level:
            for _, inner in messages(message, *fields):
                count += 1
                if count > MAX_ITEMS:
                    raise TooLarge(TOO_MANY)
                if depth < len(path):
                    below.append(inner)
        level = below


def refuse_full_item(body: bytes, schema: Any) -> None:
    """Raises TooLarge for over MAX_PARTS messages and numbers anywhere in it, and Unreadable.

    `schema` is the item's descriptor.
    """
    if len(body) <= LARGE_ITEM_BYTES:
        return
    count, waiting = 0, [(view(body), schema)]
    while waiting:
        message, schema = waiting.pop()
        fields = inner(schema)
        for number, part in messages(message, *fields):
            kind = fields[number]
            count += 1 if kind else len(part)
            if count > MAX_PARTS:
                raise TooLarge(TOO_FULL)
            if kind:
                waiting.append((part, kind))


def view(body: bytes) -> bytes:
    """The same, of which slices are no copies."""
    return cast("bytes", memoryview(body))


@cache
def inner(schema: Any) -> dict[int, Any]:
    """The fields that are messages, with their descriptors; with None those of packed varints,
    of which every byte may be a number of eight."""
    varints = {FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64}
    return {
        field.number: field.message_type
        for field in schema.fields
        if field.message_type or (field.is_repeated and field.cpp_type in varints)
    }
