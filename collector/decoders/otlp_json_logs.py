"""Log records in OTLP/JSON: an object with the fields of the message LogRecord.

Source: opentelemetry/proto/logs/v1/logs.proto
"""

from msgspec import Raw, Struct, field
from msgspec.json import Decoder
from opentelemetry.proto.logs.v1 import logs_pb2 as pb

from collector.decoders.inspection import Inspection, inspect
from collector.decoders.lenient import Unreadable
from collector.decoders.limits import Reason, refused_log
from collector.decoders.otlp_json import JsonShape, number, read, uint64, unhex
from collector.decoders.otlp_json_values import AnyValue, KeyValue
from collector.decoders.otlp_outline import Outline

SEVERITIES = dict(pb.SeverityNumber.items())


class LogHead(Struct, rename="camel", gc=False):
    """What of a record decides whether it can be stored."""

    time_unix_nano: int = 0
    observed_time_unix_nano: int = 0


class JsonLogRecord(LogHead, rename="camel", gc=False):
    told_severity: int | str = field(default=0, name="severityNumber")
    severity_text: str = ""
    body: AnyValue = field(default_factory=AnyValue)
    attributes: list[KeyValue] = []
    trace_hex: str = field(default="", name="traceId")
    span_hex: str = field(default="", name="spanId")
    event_name: str = ""

    @property
    def severity_number(self) -> int:
        return number(self.told_severity, SEVERITIES)

    @property
    def trace_id(self) -> bytes:
        return unhex(self.trace_hex)

    @property
    def span_id(self) -> bytes:
        return unhex(self.span_hex)


def check(record: LogHead) -> None:
    """Raises Unreadable."""
    uint64("timeUnixNano", record.time_unix_nano)
    uint64("observedTimeUnixNano", record.observed_time_unix_nano)


OUTLINE = Outline("ExportLogsServiceRequest", "resourceLogs", "scopeLogs", "logRecords")
JSON_SHAPE = JsonShape(OUTLINE, Decoder(JsonLogRecord, strict=False), check)
HEAD = Decoder(LogHead, strict=False)


def inspect_logs_json(body: bytes, received_ns: int) -> Inspection:
    """As `skeleton.inspect_logs`. Raises Malformed, TooLarge."""
    return inspect(OUTLINE.read_first(body), received_ns, look_at_record)


def look_at_record(record: bytes | Raw, received_ns: int, found: Inspection) -> None:
    try:
        head = read(HEAD, record)
        check(head)
    except Unreadable:
        found.note((Reason.UNREADABLE, "a log record cannot be read"))
        return
    found.note(refused_log(head.time_unix_nano or head.observed_time_unix_nano, received_ns))
