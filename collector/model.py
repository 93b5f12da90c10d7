"""What crosses the outbox, one accepted request, raw; and what traces are looked for by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Signal(StrEnum):
    """What a body holds; names its decoder in `collector.decoders.DECODERS`."""

    OTLP_TRACES = "otlp-traces"  # ExportTraceServiceRequest
    OTLP_TRACES_JSON = "otlp-traces-json"  # the same in OTLP's JSON
    OTLP_LOGS = "otlp-logs"  # ExportLogsServiceRequest
    OTLP_LOGS_JSON = "otlp-logs-json"
    OTLP_METRICS = "otlp-metrics"  # ExportMetricsServiceRequest
    OTLP_METRICS_JSON = "otlp-metrics-json"
    ZIPKIN_JSON = "zipkin-json"  # a list of spans
    ZIPKIN_JSON_V1 = "zipkin-json-v1"  # the same in version 1
    ZIPKIN_PROTO = "zipkin-proto"  # ListOfSpans
    ZIPKIN_THRIFT = "zipkin-thrift"  # a list of version 1
    SCRIBE = "scribe"  # the arguments of a Log call, whose messages are spans as in the line above
    REMOTE_WRITE = "remote-write"  # prometheus.WriteRequest
    REMOTE_WRITE_V2 = "remote-write-v2"  # io.prometheus.write.v2.Request
    ALS = "als"  # StreamAccessLogsMessage, the identifier always set
    DECISIONS = "decisions"  # JSON lines, one decision each


class TraceSearch(NamedTuple):
    """What one span of a trace must be. "" and 0: any.

    `attributes`: each key and its value, None for any value, of the span or its resource.
    """

    service: str = ""
    operation: str = ""
    min_duration_ns: int = 0
    max_duration_ns: int = 0
    errors: bool = False
    attributes: tuple[tuple[str, str | None], ...] = ()


class LogSearch(NamedTuple):
    """What a log record must be. "" and 0: any.

    `text`: contained in its body, whatever the case of ASCII letters. `min_severity`: OTLP's
    SeverityNumber. `attributes`: as a TraceSearch's.
    """

    service: str = ""
    min_severity: int = 0
    trace_id: str = ""  # 32 hex digits
    text: str = ""
    attributes: tuple[tuple[str, str | None], ...] = ()


class LogPlace(NamedTuple):
    """Where a page of log records ended: at this time and hash, with so many that have both."""

    at_ns: int
    hash: int
    shown: int


@dataclass(frozen=True)
class Report:
    """A body as received (decompressed) with what the decoder must know beside it."""

    signal: Signal
    body: bytes
    received_ns: int
    identity: str = ""  # who sent it: the x-mesh-node metadata, or the peer's address
    items: int = 1  # spans, records, points in it, as counted when it was accepted
    headroom: bool = False  # may use the room kept for senders that never send anything again


class Taken(NamedTuple):
    """A group that somebody is to store now."""

    reports: Sequence[Report]
    attempt: int = 1  # from 1; each has a number of its own
    replayed: bool = False  # from quarantine: its tokens may be forgotten


# Kind, then whose, then names: services by who sent them, operations by service.
Names = Mapping[str, Mapping[str, Sequence[str]]]


class Account(NamedTuple):
    """What became of one sender's items of one signal in a group that was stored."""

    signal: Signal
    identity: str
    stored: int
    skipped: int
    refused: Mapping[str, int]  # by reason: they are dead letters
