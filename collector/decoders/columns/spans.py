"""The rows of many spans, column by column: `otlp_traces.row`, and the tests before it."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.message import DecodeError
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.decoders.columns.texts import Texts, codes, texts
from collector.decoders.limits import FUTURE_NS, MAX_EVENTS, RETENTION_NS
from collector.decoders.span_rules import (
    CHECK_TAGS,
    CLIENT,
    ENVOYS_CALL,
    MAX_TIME_NS,
    SERVER,
    STATUS_KEYS,
    TRAEFIKS_CHECK,
    sampling_weight,
    service_name,
    status_number,
)
from collector.decoders.text import SHORT, cut
from collector.decoders.text import texts as texts_of
from collector.store.block import Arrays, Resources, events
from collector.store.native import bounds, varint
from collector.store.tables import Event


class Columns(NamedTuple):
    """Of all spans of some requests, in their order.

    The rows of `odd` ones, and of all spans of `refused` requests, are not as they should be.
    """

    arrays: Arrays
    first: Any  # of each request, the number of its first span; and how many there are
    odd: Any
    refused: Any


class Doubt(NamedTuple):
    """What cannot be told here: requests that are not as they should be, and odd spans."""

    requests: Any
    spans: Any


def columns(requests: pa.Array, received_ns: list[int], resources: Resources) -> Columns:
    """Of what `wire.read` made of requests, and when they came. Raises ValueError for text that is
    not UTF-8."""
    of_resources = requests.values
    scopes = of_resources.field("scope_spans")
    lists = scopes.values.field("spans")
    spans = lists.values
    first = bounds(lists)[bounds(scopes)][bounds(requests)]
    request_of = np.repeat(np.arange(len(requests)), np.diff(first))
    doubt = Doubt(np.zeros(len(requests), bool), np.zeros(len(spans), bool))
    numbers, services = resource_columns(of_resources, parents(requests), resources, doubt)
    resource_of = np.repeat(np.arange(len(of_resources)), np.diff(bounds(lists)[bounds(scopes)]))

    field = spans.field
    attributes = texts(field("attributes"))
    doubt.spans[:] |= attributes.odd
    doubt.spans[:] |= np.diff(bounds(field("name"))) > SHORT
    trace_id, has_trace = ids(field("trace_id"), 16)
    span_id, has_id = ids(field("span_id"), 8)
    parent_id, _ = ids(field("parent_span_id"), 8)
    start_ns, end_ns = numpy(field("start_time_unix_nano")), numpy(field("end_time_unix_nano"))
    earliest = np.array([max(0, at - RETENTION_NS) for at in received_ns], np.uint64)[request_of]
    latest = np.array([at + FUTURE_NS for at in received_ns], np.uint64)[request_of]
    timely = (start_ns >= earliest) & (start_ns <= latest)
    doubt.requests[request_of[~(has_trace & has_id & timely)]] = True
    ids_equal = span_id == parent_id
    doubt.spans[:] |= (end_ns < start_ns) | ids_equal

    kind = numpy(field("kind"))
    messages, status = field("status").flatten()
    status = pc.fill_null(status, 0).to_numpy(zero_copy_only=False)
    doubt.spans[:] |= pc.fill_null(pc.binary_length(messages), 0).to_numpy(zero_copy_only=False) > 0
    look_for_checks(field("name"), kind, attributes, doubt)
    answered = http_status(attributes, len(spans))
    failed = (answered >= 500) & ((kind == SERVER) | (kind == CLIENT))
    read_links(field("links"), request_of, doubt)
    arrays = {
        "time": pa.array(start_ns.astype(np.int64)),
        "trace_id": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), len(spans), [None, pa.py_buffer(trace_id)]
        ),
        "span_id": pa.array(span_id),
        "parent_id": pa.array(parent_id),
        "service": services.take(pa.array(resource_of)),
        "name": field("name"),
        "kind": pa.array(small(kind)),
        "status": pa.array(small(status)),
        "error": pa.array((failed | (status == Status.STATUS_CODE_ERROR)).astype(np.uint8)),
        "http_status": pa.array(answered),
        "duration_ns": pa.array(end_ns - start_ns),
        "attributes": attributes.column,
        "resource": pa.array(numbers[resource_of]),
        "events": read_events(field("events"), request_of, doubt),
        "weight": pa.array(weights(field("trace_state"))),
        "shared": pa.array(np.zeros(len(spans), np.uint8)),
    }
    return Columns(arrays, first, doubt.spans, doubt.requests)


def resource_columns(
    of_resources: pa.Array, request_of: Any, resources: Resources, doubt: Doubt
) -> tuple[Any, pa.Array]:
    """Of each resource its number, and its service."""
    sent = of_resources.field("resource")
    at = bounds(sent)
    known: dict[bytes, tuple[int, str]] = resources.known
    found = []
    bodies = sent.values.to_pylist()
    for number, (start, end) in enumerate(zip(at[:-1].tolist(), at[1:].tolist(), strict=True)):
        body = bodies[start] if end > start else b""
        if body not in known:
            try:
                attributes = texts_of(Resource.FromString(body).attributes)
                known[body] = resources.number(attributes), service_name(attributes)
            except DecodeError:
                known[body] = UNREADABLE
        if end > start + 1 or known[body] is UNREADABLE:
            doubt.requests[request_of[number]] = True
        found.append(known[body])
    numbers = np.array([number for number, _ in found], np.int32)
    return numbers, pa.array([service for _, service in found], pa.string())


UNREADABLE = 0, ""


def parents(lists: pa.Array) -> Any:
    """Of each item of all lists, the number of its own."""
    return np.repeat(np.arange(len(lists)), np.diff(bounds(lists)))


def ids(sent: pa.Array, size: int) -> tuple[Any, Any]:
    """As stored, 0 for one that is none, and which are one. Of 8 bytes they are numbers."""
    at = bounds(sent)
    right = np.diff(at) == size
    found = np.zeros((len(sent), size), np.uint8)
    held = sent.buffers()[2]
    if held and right.any():
        data = np.frombuffer(held, np.uint8)
        if right.all():
            found = data[at[0] : at[-1]].reshape(-1, size)
        else:
            found[right] = data[at[:-1][right][:, None] + np.arange(size)]
    if size == 8:
        numbers = found.view(">u8")[:, 0].astype(np.uint64)
        return numbers, numbers != 0
    return found, found.any(axis=1)


def numpy(found: pa.Array) -> Any:
    return found.to_numpy(zero_copy_only=False)


def small(found: Any) -> Any:
    """0 for what the column does not hold."""
    return np.where((found >= -128) & (found < 128), found, 0).astype(np.int8)


def look_for_checks(names: pa.Array, kind: Any, attributes: Texts, doubt: Doubt) -> None:
    """A client's span may be a proxy's own check: what its name or attributes say, if so."""
    client = kind == CLIENT
    if not client.any():
        return
    named = pc.or_(pc.starts_with(names, ENVOYS_CALL), pc.equal(names, TRAEFIKS_CHECK))
    likely = numpy(named)
    for tag in CHECK_TAGS:
        owners, _, _ = attributes.of_key(tag)
        likely[owners] = True
    doubt.spans[:] |= client & likely


def http_status(attributes: Texts, spans: int) -> Any:
    found = np.zeros(spans, np.uint16)
    for key in reversed(STATUS_KEYS):
        owners, distinct, which = attributes.of_key(key)
        numbers = np.array([status_number(text) for text in distinct], np.int16)
        if len(owners):
            told = numbers[which]
            found[owners[told >= 0]] = told[told >= 0]
    return found


def weights(trace_states: pa.Array) -> Any:
    found = trace_states.dictionary_encode()
    distinct = [sampling_weight(state) for state in found.dictionary.to_pylist()]
    return np.array(distinct, np.float64)[codes(found)]


def read_links(sent: pa.Array, request_of: Any, doubt: Doubt) -> None:
    """They are not stored, but a span with one that cannot be read is no span."""
    for owner, body in zip(parents(sent).tolist(), sent.values.to_pylist(), strict=True):
        if alone(LINK, body) is None:
            doubt.requests[request_of[owner]] = True


def read_events(sent: pa.Array, request_of: Any, doubt: Doubt) -> pa.Array:
    found: list[Event] = []
    for owner, body in zip(parents(sent).tolist(), sent.values.to_pylist(), strict=True):
        span = alone(EVENT, body)
        if span is None:
            doubt.requests[request_of[owner]] = True
            found.append(NO_EVENT)
            continue
        (event,) = span.events
        time_ns = min(event.time_unix_nano, MAX_TIME_NS)
        found.append((time_ns, cut(event.name), texts_of(event.attributes)))
    doubt.spans[:] |= np.diff(bounds(sent)) > MAX_EVENTS
    return events(found, sent.offsets)


NO_EVENT: Event = (0, "", {})


def alone(tag: bytes, body: bytes) -> Span | None:
    """A span that has nothing but this field, which is as deep in it as in the one it is of; None
    when it cannot be read."""
    try:
        return Span.FromString(tag + varint(len(body)) + body)
    except DecodeError:
        return None


EVENT, LINK = b"\x5a", b"\x6a"  # fields 11 and 13, both messages
