"""The query API's JSON, as its documentation shows it. Durations are what their names say."""

from pydantic import BaseModel, Field


class ServiceAnswer(BaseModel):
    name: str
    called: bool = Field(description="it answered requests; else it is known only as a caller")
    caution: str = Field(
        description="mixed scripts, hidden characters: it may pass for another; else empty"
    )


class EdgeAnswer(BaseModel):
    source: str
    destination: str
    reporter: str = Field(description="who told of it: destination, source, or spans")
    source_kind: str = Field(description="queue, of one that only its consumers name; else empty")
    destination_kind: str = Field(
        description="database, queue or host, of one that only its callers name; else empty"
    )
    requests: float
    errors: float
    denied: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class NodeAnswer(BaseModel):
    name: str
    kind: str = Field(description="service; or database, queue or host, of which no span came")
    requests: float = Field(description="received, by all edges")
    errors: float
    denied: float


class UnpairedAnswer(BaseModel):
    service: str = Field(description="whose span it is")
    reason: str = Field(description="caller_missing or no_peer")
    why: str = Field(description="the reason in words")
    calls: float


class GraphAnswer(BaseModel):
    nodes: list[NodeAnswer]
    edges: list[EdgeAnswer]
    unpaired: list[UnpairedAnswer] = Field(description="calls of which an end is not known")


class OperationAnswer(BaseModel):
    service: str
    name: str
    kind: str
    spans: float
    errors: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class MomentAnswer(BaseModel):
    start: str = Field(description="RFC 3339")
    requests: float
    errors: float
    denied: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    counts: dict[str, float] = Field(
        description="requests by bucket b, which holds 2^(b/8) to 2^((b+1)/8) microseconds"
    )


class LatencyAnswer(BaseModel):
    step_s: int = Field(description="between moments; those without requests are left out")
    moments: list[MomentAnswer]


class SummaryAnswer(BaseModel):
    trace_id: str
    start: str = Field(description="RFC 3339")
    duration_ns: int
    root_service: str
    root_name: str
    spans: int
    errors: int
    services: list[str]


class TracesAnswer(BaseModel):
    traces: list[SummaryAnswer]
    total: int = Field(description="how many there are, on all pages")
    total_is_exact: bool = Field(description="false: there are at least so many")
    next: str | None = Field(description="cursor of the next page; null: this is the last")


class LogAnswer(BaseModel):
    time: str = Field(description="RFC 3339")
    time_ns: int
    observed_ns: int = Field(description="0: not told")
    service: str
    severity: str = Field(description="trace, debug, info, warn, error, fatal; empty: not told")
    severity_number: int = Field(description="OTLP's, 1 to 24; 0: not told")
    severity_text: str = Field(description="as the sender calls it")
    body: str
    event: str
    trace_id: str = Field(description="empty: none")
    span_id: str = Field(description="empty: none")
    scope: str = Field(description="the logger")
    attributes: dict[str, str]
    resource: dict[str, str]


class LogsAnswer(BaseModel):
    logs: list[LogAnswer]
    total: int = Field(description="how many there are, on all pages")
    total_is_exact: bool = Field(description="false: there are at least so many")
    next: str | None = Field(description="cursor of the next page; null: this is the last")


class EventAnswer(BaseModel):
    time_ns: int
    name: str
    attributes: dict[str, str]


class SpanAnswer(BaseModel):
    start_ns: int
    trace_id: str
    span_id: str
    parent_id: str = Field(description="empty: a root")
    service: str
    name: str
    kind: str
    status: str
    error: bool
    http_status: int = Field(description="0: none")
    duration_ns: int
    shared: bool = Field(description="a server's side of a span that its client reports, too")
    weight: float
    attributes: dict[str, str]
    resource: dict[str, str]
    events: list[EventAnswer]
