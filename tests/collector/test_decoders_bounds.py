"""Bodies are counted before they are read: what would become too much is refused."""

import tracemalloc

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.decoders.bounds import (
    LARGE_BYTES,
    LARGE_ITEM_BYTES,
    refuse_crowd,
    refuse_full_item,
)
from collector.decoders.lenient import Unreadable
from collector.decoders.limits import MAX_ITEMS, MAX_PARTS
from collector.errors import TooLarge
from tests.bad_input.bodies import length_delimited

PATH = (1,), (2,), (2,)
PADDING = length_delimited(15, bytes(LARGE_BYTES))
ITEM_PADDING = length_delimited(5, bytes(LARGE_ITEM_BYTES))


def crowd(count: int) -> bytes:
    """A resource with a scope with so many items, all empty."""
    return length_delimited(1, length_delimited(2, b"\x12\0" * count)) + PADDING


def test_as_many_as_may_be_are_let_through_and_one_more_is_not():
    refuse_crowd(crowd(MAX_ITEMS - 2), *PATH)
    with pytest.raises(TooLarge, match=str(MAX_ITEMS)):
        refuse_crowd(crowd(MAX_ITEMS - 1), *PATH)


def test_messages_on_the_way_count():
    with pytest.raises(TooLarge):
        refuse_crowd(b"\x0a\0" * (MAX_ITEMS + 1) + PADDING, *PATH)


def test_a_large_body_that_is_no_message_is_unreadable():
    with pytest.raises(Unreadable):
        refuse_crowd(b"\xff" * (LARGE_BYTES + 1), *PATH)


def values(count: int) -> bytes:
    """A span with an attribute that is a list of so many empty values."""
    array = length_delimited(5, b"\x0a\0" * count)
    return length_delimited(9, length_delimited(2, array)) + ITEM_PADDING


def test_parts_at_any_depth_of_an_item_count():
    refuse_full_item(values(MAX_PARTS - 3), Span.DESCRIPTOR)
    with pytest.raises(TooLarge, match=str(MAX_PARTS)):
        refuse_full_item(values(MAX_PARTS), Span.DESCRIPTOR)


def test_packed_numbers_count_since_a_byte_may_be_one():
    packed = length_delimited(8, length_delimited(2, bytes(MAX_PARTS + 1))) + ITEM_PADDING
    with pytest.raises(TooLarge):
        refuse_full_item(packed, ExponentialHistogramDataPoint.DESCRIPTOR)


def test_counting_takes_little_memory():
    body = b"\x12\0" * (8 * LARGE_BYTES)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            refuse_crowd(body, (2,))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < LARGE_BYTES
