"""An ExportTraceServiceRequest as nested Arrow arrays, by a schema of the fields that count.

What is read later, or one by one, is declared bytes; and of a resource, and of the value of an
attribute, all that were sent, since a parser merges two. Fields left out are skipped unread.
Source: opentelemetry/proto/trace/v1/trace.proto.
"""

from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from ptars import HandlerPool

FILE, PACKAGE = "meshmeter/columns.proto", "meshmeter.columns"
MANY = Field.LABEL_REPEATED
TEXT, BYTES = Field.TYPE_STRING, Field.TYPE_BYTES
INT32, FIXED64 = Field.TYPE_INT32, Field.TYPE_FIXED64

# Message -> fields: name, number, its type or the name of its message, and whether there are many.
MESSAGES: dict[str, list[tuple[str, int, Any, bool]]] = {
    "Request": [("resource_spans", 1, "ResourceSpans", True)],
    "ResourceSpans": [("resource", 1, BYTES, True), ("scope_spans", 2, "ScopeSpans", True)],
    "ScopeSpans": [("spans", 2, "Span", True)],
    "Span": [
        ("trace_id", 1, BYTES, False),
        ("span_id", 2, BYTES, False),
        ("trace_state", 3, TEXT, False),
        ("parent_span_id", 4, BYTES, False),
        ("name", 5, TEXT, False),
        ("kind", 6, INT32, False),
        ("start_time_unix_nano", 7, FIXED64, False),
        ("end_time_unix_nano", 8, FIXED64, False),
        ("attributes", 9, "KeyValue", True),
        ("events", 11, BYTES, True),
        ("links", 13, BYTES, True),
        ("status", 15, "Status", False),
    ],
    "Status": [("message", 2, TEXT, False), ("code", 3, INT32, False)],
    "KeyValue": [("key", 1, TEXT, False), ("value", 2, BYTES, True)],
}


def read(bodies: list[bytes]) -> Any:
    """List by list: resource spans, one list a body. Raises ValueError when one is no such message
    or has text that is not UTF-8."""
    return handler().list_to_record_batch(bodies).column(0)


@cache
def handler() -> Any:
    pool = DescriptorPool()
    pool.Add(schema())
    file = pool.FindFileByName(FILE)
    return HandlerPool([file]).get_for_message(file.message_types_by_name["Request"])


def schema() -> FileDescriptorProto:
    file = FileDescriptorProto(name=FILE, package=PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind, many in fields:
            field = message.field.add(name=field_name, number=number)
            field.label = MANY if many else Field.LABEL_OPTIONAL
            if isinstance(kind, str):
                field.type, field.type_name = Field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
            else:
                field.type = kind
    return file
