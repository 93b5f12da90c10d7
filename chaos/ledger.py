"""What was sent and what was acknowledged, kept by the one who sends.

A span's id is its number; its content is made of it, so that a stored span can be told from one
that was damaged or never sent.
"""

import hashlib
import threading
import time
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SERVICE, NAME, CONTENT = "chaos.bench", "work", "content"
# How long ago spans were: to a collector whose clock is an hour behind they are of the past, too.
AGO_NS = 2 * 3600 * 1_000_000_000


def content_of(number: int) -> str:
    """ClickHouse's `lower(hex(SHA256(toString(span_id))))`."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def request_of(numbers: range) -> bytes:
    """An OTLP request of these spans, each in a trace of its own."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = SERVICE
    spans = resource.scope_spans.add().spans
    end_ns = time.time_ns() - AGO_NS
    for number in numbers:
        span = spans.add(
            trace_id=number.to_bytes(16, "big"),
            span_id=number.to_bytes(8, "big"),
            name=NAME,
            kind=2,
            start_time_unix_nano=end_ns - 1_000_000,
            end_time_unix_nano=end_ns,
        )
        span.attributes.add(key=CONTENT).value.string_value = content_of(number)
    return request.SerializeToString()


@dataclass
class Ledger:
    """Used from several threads."""

    issued: int = 0  # numbers 1 to this
    acknowledged: set[int] = field(default_factory=set)
    resent: int = 0  # requests sent again for want of an answer, or told to come again
    ack_s: list[float] = field(default_factory=list)  # from the first sending of each request
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def issue(self, count: int) -> range:
        with self._lock:
            first = self.issued + 1
            self.issued += count
            return range(first, self.issued + 1)

    def acknowledge(self, numbers: range, took_s: float, sendings: int) -> None:
        with self._lock:
            self.acknowledged.update(numbers)
            self.resent += sendings - 1
            self.ack_s.append(took_s)
