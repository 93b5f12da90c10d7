"""An OTLP request in protobuf taken apart into its items, be they spans, log records or metrics."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector.decoders import envelopes
from collector.decoders import otlp_json_values as json_values
from collector.decoders.bounds import LARGE_BYTES
from collector.decoders.decoded import Collected
from collector.decoders.lenient import Parsed, Unreadable, parse
from collector.decoders.limits import Reason
from collector.decoders.skeleton import read_skeleton
from collector.model import Report

Item = TypeVar("Item")
ItemMessage = TypeVar("ItemMessage", bound=Message)


class Part(NamedTuple, Generic[Item]):
    """The items of one scope of one resource, each with a function that gives it as received."""

    resource: Resource | json_values.Resource
    scope: InstrumentationScope | json_values.Scope
    items: Iterable[tuple[Item, Callable[[], bytes]]]


class Shape(NamedTuple, Generic[ItemMessage]):
    """A request message, what its three levels of lists are called, and what the last holds."""

    request: type[Message]
    resources: str
    scopes: str
    items: str
    item: type[ItemMessage]


def parts(report: Report, out: Collected, shape: Shape[ItemMessage]) -> Iterator[Part[ItemMessage]]:
    """Items that cannot be read become dead letters on the way. Raises Unreadable.

    Of a large request one item at a time is read: what it may hold beside its bytes is then little.
    """
    request: Any
    if len(report.body) > LARGE_BYTES:
        yield from salvage(report, out, shape)
        return
    try:
        request = shape.request.FromString(report.body)
    except DecodeError:
        yield from salvage(report, out, shape)
        return
    for resource in getattr(request, shape.resources):
        for scope in getattr(resource, shape.scopes):
            items = getattr(scope, shape.items)
            out.around = envelopes.otlp(resource.resource, scope.scope)
            yield Part(
                resource.resource, scope.scope, ((item, item.SerializeToString) for item in items)
            )


def salvage(
    report: Report, out: Collected, shape: Shape[ItemMessage]
) -> Iterator[Part[ItemMessage]]:
    """The same, item by item: one that cannot be read is a dead letter, the others are kept."""
    for resource_items in read_skeleton(report.body, shape.request.DESCRIPTOR.name).resources:
        resource = parsed_or_empty(Resource, resource_items.resource)
        for scope_items in resource_items.scopes:
            scope = parsed_or_empty(InstrumentationScope, scope_items.scope)
            out.around = envelopes.otlp(resource, scope)
            yield Part(resource, scope, readable(report, out, shape, scope_items.items))


def readable(
    report: Report, out: Collected, shape: Shape[ItemMessage], bodies: Iterable[bytes]
) -> Iterator[tuple[ItemMessage, Callable[[], bytes]]]:
    for body in bodies:
        try:
            item = parse(shape.item, body)
        except Unreadable as error:
            refusal = (Reason.UNREADABLE, str(error))
            out.refuse(report, refusal, body)
        else:
            yield item, item.SerializeToString


def parsed_or_empty(kind: type[Parsed], body: bytes) -> Parsed:
    try:
        return parse(kind, body)
    except Unreadable:
        return kind()
