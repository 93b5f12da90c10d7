"""What a front-end must know of a report before it acknowledges it, and no more.

The spans stay bytes: a 4 MB request of two million empty ones is counted and refused without
making two million objects.
"""

from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from collector.decoders.lenient import Unreadable
from collector.decoders.limits import MAX_ITEMS, Reason, refused_span
from collector.errors import TooLarge
from collector.proto.skeleton_pb2 import SpanHead, Traces

TOLD_REASONS = 3


@dataclass(frozen=True)
class Inspection:
    """`rejected` of the `spans` will be dead letters: what `partial_success` says."""

    spans: int
    rejected: int = 0
    reasons: list[str] = field(default_factory=list)  # the first few, each once


def inspect_traces(body: bytes, received_ns: int) -> Inspection:
    """Of an ExportTraceServiceRequest. Raises Malformed, and TooLarge over MAX_ITEMS spans.

    Finds bad ids, bad times and spans whose fields cannot be told apart. What is wrong deeper
    inside one, the worker finds.
    """
    request = read_skeleton(body)
    refuse_bomb(request)
    total = rejected = 0
    reasons: dict[Reason, str] = {}
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            total += len(scope_spans.spans)
            for span in scope_spans.spans:
                try:
                    head = SpanHead.FromString(span)
                except DecodeError:
                    rejected += 1
                    reasons.setdefault(Reason.UNREADABLE, "a span cannot be read")
                    continue
                refusal = refused_span(
                    head.trace_id, head.span_id, head.start_time_unix_nano, received_ns
                )
                if refusal:
                    rejected += 1
                    reasons.setdefault(*refusal)
    return Inspection(total, rejected, list(reasons.values())[:TOLD_REASONS])


def read_skeleton(body: bytes) -> Traces:
    """Raises Unreadable, which is Malformed."""
    try:
        return Traces.FromString(body)
    except DecodeError as error:
        raise Unreadable(f"not an ExportTraceServiceRequest: {error}") from error


def refuse_bomb(request: Traces) -> None:
    """Raises TooLarge. Empty resources and scopes cost memory too, and are counted."""
    items = len(request.resource_spans)
    for resource_spans in request.resource_spans:
        items += len(resource_spans.scope_spans)
        if items > MAX_ITEMS:
            break
        items += sum(len(scope_spans.spans) for scope_spans in resource_spans.scope_spans)
    if items > MAX_ITEMS:
        raise TooLarge(f"a request may hold {MAX_ITEMS} spans, their scopes and resources included")
