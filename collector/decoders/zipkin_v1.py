"""Zipkin's version 1 as version 2, where a span has one side and its annotations are plain.

In version 1 the core annotations cs, sr, ss, cr, ms and mr tell side, times and who was there; one
span may have both sides of a call. A server's span without a timestamp is a shared one.
Source: openzipkin/zipkin, zipkin2.v1.V1SpanConverter; openzipkin/zipkin-api, zipkinCore.thrift.
"""

from typing import NamedTuple

from collector.decoders.zipkin_span import Annotation, BinaryAnnotation, Endpoint, Span

ADDRESSES = ("ca", "sa", "ma")


class Side(NamedTuple):
    kind: str
    begin: str
    end: str
    address: str  # the key of the other end's


SIDES = (
    Side("CLIENT", "cs", "cr", "sa"),
    Side("SERVER", "sr", "ss", "ca"),
    Side("PRODUCER", "ms", "", "ma"),
    Side("CONSUMER", "mr", "", "ma"),
)
CORE = frozenset({mark for side in SIDES for mark in (side.begin, side.end) if mark})


def version_2(span: Span) -> list[Span]:
    """One span, or the halves of a shared one, client first."""
    annotations, binary = span.annotations or [], span.binaryAnnotations or []
    core = {found.value: found for found in reversed(annotations) if found.value in CORE}
    plain = [found for found in annotations if found.value not in CORE]
    addresses = {found.key: found.endpoint for found in binary if is_address(found)}
    tags = [found for found in binary if not is_address(found)]
    told = [side for side in SIDES if side.begin in core or side.end in core]
    if not told:
        return [local(span, plain, tags, addresses)]
    halves = len(told) > 1
    return [
        half(
            span,
            side,
            core,
            own=side is told[0],
            shared=side.kind == "SERVER" and (halves or not span.timestamp),
            addresses=addresses,
            plain=[found for found in plain if belongs(found.endpoint, side, told, core)],
            tags=[found for found in tags if belongs(found.endpoint, side, told, core)],
        )
        for side in told
    ]


def half(
    span: Span,
    side: Side,
    core: dict[str, Annotation],
    *,
    own: bool,
    shared: bool,
    addresses: dict[str, Endpoint | None],
    plain: list[Annotation],
    tags: list[BinaryAnnotation],
) -> Span:
    """`own`: the span's times are of this side."""
    begin, end = core.get(side.begin), core.get(side.end)
    lasted = end.timestamp - begin.timestamp if begin and end else 0
    return Span(
        traceId=span.traceId,
        id=span.id,
        parentId=span.parentId,
        name=span.name,
        kind=side.kind,
        timestamp=(own and span.timestamp) or (begin or end or NEVER).timestamp,
        duration=(own and span.duration) or lasted,
        localEndpoint=(begin or end or NEVER).endpoint or somewhere(plain, tags),
        remoteEndpoint=addresses.get(side.address),
        annotations=plain,
        tags=tags_of(tags),
        shared=shared,
        debug=span.debug,
    )


NEVER = Annotation(0, "")


def local(
    span: Span,
    plain: list[Annotation],
    tags: list[BinaryAnnotation],
    addresses: dict[str, Endpoint | None],
) -> Span:
    """Of no side: work within a service, or of one that did not say."""
    return Span(
        traceId=span.traceId,
        id=span.id,
        parentId=span.parentId,
        name=span.name,
        timestamp=span.timestamp,
        duration=span.duration,
        localEndpoint=somewhere(plain, tags),
        remoteEndpoint=next((addresses[key] for key in ADDRESSES if key in addresses), None),
        annotations=plain,
        tags=tags_of(tags),
        debug=span.debug,
    )


def is_address(found: BinaryAnnotation) -> bool:
    return found.key in ADDRESSES and found.value is True and found.endpoint is not None


def belongs(
    endpoint: Endpoint | None, side: Side, told: list[Side], core: dict[str, Annotation]
) -> bool:
    """Whether what was noted at `endpoint` was noted at this side; in doubt, at the first."""
    noted_at = service(endpoint)
    owners = [one for one in told if noted_at in services_of(one, core)]
    return side is (owners[0] if owners else told[0])


def services_of(side: Side, core: dict[str, Annotation]) -> set[str]:
    marks = (core[mark] for mark in (side.begin, side.end) if mark in core)
    return {service(mark.endpoint) for mark in marks}


def service(endpoint: Endpoint | None) -> str:
    return (endpoint and endpoint.serviceName) or ""


def somewhere(plain: list[Annotation], tags: list[BinaryAnnotation]) -> Endpoint | None:
    noted_at = [found.endpoint for found in plain] + [found.endpoint for found in tags]
    return next((endpoint for endpoint in noted_at if endpoint), None)


def tags_of(found: list[BinaryAnnotation]) -> dict[str, str]:
    return {tag.key: text_of(tag.value) for tag in found}


def text_of(value: str | float | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
