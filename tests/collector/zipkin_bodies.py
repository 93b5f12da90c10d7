"""Zipkin's spans as their senders write them."""

import json
import os
import struct
import time
from base64 import b64encode
from typing import Any

from collector.proto import zipkin_pb2 as pb

NOW_US = time.time_ns() // 1000
TRACE, SPAN, PARENT = "463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312", "0000000000000005"

Json = dict[str, Any]


def v2(**changes: Any) -> Json:
    """A server's span of 5 ms, but for what is told; None takes a field away."""
    usual = {
        "traceId": TRACE,
        "id": SPAN,
        "parentId": PARENT,
        "name": "get /cart",
        "kind": "SERVER",
        "timestamp": NOW_US - 1_000_000,
        "duration": 5_000,
        "localEndpoint": {"serviceName": "cart", "ipv4": "10.0.0.5", "port": 8080},
    }
    return {key: value for key, value in (usual | changes).items() if value is not None}


def fresh(**changes: Any) -> Json:
    """Of a trace of its own, now."""
    ids = {"traceId": os.urandom(16).hex(), "id": os.urandom(8).hex(), "parentId": None}
    return v2(**ids | {"timestamp": time.time_ns() // 1000} | changes)


def endpoint(service: str) -> Json:
    return {"serviceName": service, "ipv4": "10.0.0.5", "port": 8080}


def mark(value: str, after_us: int, service: str = "cart") -> Json:
    """An annotation of version 1."""
    return {"timestamp": NOW_US + after_us, "value": value, "endpoint": endpoint(service)}


def tag(key: str, value: Any, service: str = "cart") -> Json:
    """A binary annotation of version 1."""
    return {"key": key, "value": value, "endpoint": endpoint(service)}


def v1(*annotations: Json, tags: tuple[Json, ...] = (), **changes: Any) -> Json:
    usual = {
        "traceId": TRACE,
        "id": SPAN,
        "parentId": PARENT,
        "name": "get /cart",
        "annotations": list(annotations),
        "binaryAnnotations": list(tags),
    }
    return {key: value for key, value in (usual | changes).items() if value is not None}


def json_body(*spans: Any) -> bytes:
    return json.dumps(spans).encode()


def proto_span(**changes: Any) -> pb.Span:
    usual: dict[str, Any] = {
        "trace_id": bytes.fromhex(TRACE),
        "id": bytes.fromhex(SPAN),
        "parent_id": bytes.fromhex(PARENT),
        "name": "get /cart",
        "kind": pb.Span.SERVER,
        "timestamp": NOW_US - 1_000_000,
        "duration": 5_000,
        "local_endpoint": pb.Endpoint(service_name="cart", ipv4=bytes([10, 0, 0, 5]), port=8080),
    }
    return pb.Span(**usual | changes)


def proto_body(*spans: pb.Span) -> bytes:
    return pb.ListOfSpans(spans=spans).SerializeToString()


# Thrift: a value knows its type, as the sender's schema would.

Value = tuple[int, bytes]
STRUCT, LIST = 12, 15


def i16(value: int) -> Value:
    return 6, struct.pack(">h", value)


def i32(value: int) -> Value:
    return 8, struct.pack(">i", value)


def i64(value: int) -> Value:
    return 10, struct.pack(">q", value)


def binary(value: bytes) -> Value:
    return 11, struct.pack(">i", len(value)) + value


def structure(fields: dict[int, Value]) -> Value:
    parts = [struct.pack(">bh", kind, number) + raw for number, (kind, raw) in fields.items()]
    return STRUCT, b"".join([*parts, b"\0"])


def list_of(*values: Value) -> Value:
    head = struct.pack(">bi", values[0][0] if values else STRUCT, len(values))
    return LIST, head + b"".join(raw for _, raw in values)


def thrift_endpoint(service: str) -> Value:
    ipv4 = struct.unpack(">i", bytes([10, 0, 0, 5]))[0]
    return structure({1: i32(ipv4), 2: i16(8080), 3: binary(service.encode())})


def thrift_mark(value: str, after_us: int, service: str = "cart") -> Value:
    when = i64(NOW_US + after_us)
    return structure({1: when, 2: binary(value.encode()), 3: thrift_endpoint(service)})


def thrift_tag(key: str, value: bytes, kind: int = 6, service: str = "cart") -> Value:
    named = {1: binary(key.encode()), 2: binary(value), 3: i32(kind)}
    return structure(named | {4: thrift_endpoint(service)})


def thrift_span(*annotations: Value, tags: tuple[Value, ...] = (), **changes: Value) -> Value:
    """`changes` are named f1, f4 … after the fields' numbers."""
    high, low = struct.unpack(">qq", bytes.fromhex(TRACE))
    usual = {
        1: i64(low),
        12: i64(high),
        3: binary(b"get /cart"),
        4: i64(struct.unpack(">q", bytes.fromhex(SPAN))[0]),
        5: i64(int(PARENT, 16)),
        6: list_of(*annotations),
        8: list_of(*tags),
    }
    return structure(usual | {int(name[1:]): value for name, value in changes.items()})


def thrift_body(*spans: Value) -> bytes:
    return list_of(*spans)[1]


def log_arguments(*messages: bytes, category: bytes = b"zipkin") -> bytes:
    entries = [structure({1: binary(category), 2: binary(message)}) for message in messages]
    return structure({1: list_of(*entries)})[1]


def log_call(*spans: Value, sequence: int = 7, name: bytes = b"Log") -> bytes:
    """A Scribe frame without its length."""
    messages = [b64encode(raw) for _, raw in spans]
    head = struct.pack(">Hxb", 0x8001, 1) + binary(name)[1] + i32(sequence)[1]
    return head + log_arguments(*messages)
