"""Protobuf's outermost fields are told apart as protobuf itself would."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decoders.lenient import Unreadable
from collector.decoders.wire import MAX_FIELDS, messages
from collector.errors import TooLarge
from collector.proto import zipkin_pb2 as pb


def told(body, *wanted):
    return list(messages(body, *wanted or (1,)))


def test_wanted_fields_come_in_their_order():
    body = b"\x0a\x01a\x12\x01b\x0a\x00\x1a\x01c"
    assert told(body, 1) == [(1, b"a"), (1, b"")]
    assert told(body, 3, 1) == [(1, b"a"), (1, b""), (3, b"c")]
    assert told(b"") == []


def test_a_field_may_be_long_and_its_number_large():
    body = b"\x82\x7d" + b"\xac\x02" + b"x" * 300
    assert told(body, 2000) == [(2000, b"x" * 300)]


def test_fields_of_other_types_are_left_out():
    numbers = b"\x08\x96\x01" + b"\x09" + bytes(8) + b"\x0d" + bytes(4)
    group = b"\x13\x0a\x01x\x14"
    assert told(numbers + group + b"\x0a\x01a") == [(1, b"a")]


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a",
        b"\x0a\x02a",
        b"\x08",
        b"\x08\x80",
        b"\x08" + b"\xff" * 10,
        b"\x09\0",
        b"\x0d\0",
        b"\x0f",
        b"\x0c",
        b"\x0b",
    ],
    ids=repr,
)
def test_what_is_not_whole_is_refused(body):
    with pytest.raises(Unreadable):
        told(body)


def test_a_message_of_very_many_fields_is_given_up_early():
    fits = b"\x12\x00" * MAX_FIELDS
    assert told(fits) == []
    with pytest.raises(TooLarge, match=f"may hold {MAX_FIELDS} fields"):
        told(fits + b"\x0a")  # what is beyond is not looked at


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60))
def test_what_protobuf_reads_is_read_the_same(body):
    try:
        whole = pb.ListOfSpans.FromString(body)
    except DecodeError:
        return
    parsed = [pb.Span.FromString(span) for _, span in told(body)]
    assert parsed == list(whole.spans)
