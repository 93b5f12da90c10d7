"""gRPC as no well-behaved client would speak it: events put straight into the ASGI side."""

import asyncio
import gzip
from collections.abc import Sequence
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.transport.compression import gunzip
from collector.transport.framing import Frames, frame
from collector.transport.grpc import GrpcApp, UnaryMethod
from tests.transport.echo import METHODS, Patience

MIB = 1024 * 1024


def call(
    app: GrpcApp,
    method: str,
    chunks: Sequence[bytes],
    headers: Sequence[tuple[bytes, bytes]] = (),
    http_method: str = "POST",
) -> tuple[bytes, dict[bytes, bytes]]:
    """The response's body and its trailers, be they alone or after it."""
    events = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks] + [
        {"type": "http.request"}
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return events.pop(0) if events else {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    scope = {
        "type": "http",
        "method": http_method,
        "path": f"/t.Echo/{method}",
        "headers": [(b"content-type", b"application/grpc"), *headers],
        "client": ("127.0.0.1", 1),
    }
    asyncio.run(app(scope, receive, send))
    ends = {"http.response.start", "http.response.trailers"}
    body = b"".join(event.get("body", b"") for event in sent)
    return body, {k: v for event in sent if event["type"] in ends for k, v in event["headers"]}


def status(*args: Any, **kwargs: Any) -> int:
    _, trailers = call(GrpcApp(METHODS), *args, **kwargs)
    return int(trailers[b"grpc-status"])


@given(st.lists(st.binary(max_size=3000), max_size=5), st.integers(1, 700), st.booleans())
@settings(max_examples=200, deadline=None)
def test_messages_survive_any_cut_of_the_bytes(messages, cut, compressed):
    wire = b"".join(frame(message, compress=compressed) for message in messages)
    frames = Frames(MIB, gunzip if compressed else None)
    found = [
        message
        for start in range(0, len(wire), cut)
        for message in frames.feed(wire[start : start + cut])
    ]
    frames.end()
    assert found == messages


@given(st.binary(max_size=200), st.sampled_from([b"identity", b"gzip"]))
@settings(max_examples=300, deadline=None)
def test_any_bytes_end_in_a_status(junk, encoding):
    _, trailers = call(GrpcApp(METHODS), "Unary", [junk], [(b"grpc-encoding", encoding)])
    assert b"grpc-status" in trailers


def test_a_unary_message_in_pieces_is_put_together():
    wire = frame(b"hello")
    body, trailers = call(GrpcApp(METHODS), "Unary", [wire[:2], b"", wire[2:7], wire[7:]])
    assert (body, trailers[b"grpc-status"]) == (wire, b"0")


@pytest.mark.parametrize("unit", [b"0n", b"0m", b"0H", b"00000000S"])
def test_an_expired_deadline_never_reaches_the_handler(unit):
    patience = Patience()
    app = GrpcApp({"/t.Echo/Wait": UnaryMethod(patience)})
    _, trailers = call(app, "Wait", [frame(b"")], [(b"grpc-timeout", unit)])
    assert (trailers[b"grpc-status"], patience.calls) == (b"4", 0)


def test_a_deadline_that_holds_lets_the_call_through():
    assert status("Unary", [frame(b"")], [(b"grpc-timeout", b"99999999H")]) == 0


@pytest.mark.parametrize("value", [b"", b"5", b"m", b"-1S", b"5x", b"123456789S", "٣S".encode()])
def test_an_unreadable_timeout_is_an_error(value):
    assert status("Unary", [frame(b"")], [(b"grpc-timeout", value)]) == 13


def test_a_timeout_ends_a_stream_too():
    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    sent: list[dict[str, Any]] = []

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    headers = [(b"grpc-timeout", b"20m")]
    scope = {"method": "POST", "path": "/t.Echo/Bidi", "headers": headers, "client": None}
    asyncio.run(GrpcApp(METHODS)(scope, never, send))
    assert (b"grpc-status", b"4") in sent[0]["headers"]


@pytest.mark.parametrize("method", ["Unary", "Bidi"])
def test_a_request_that_ends_inside_a_message_is_invalid(method):
    assert status(method, [frame(b"hello")[:-1]]) == 3


def test_a_unary_call_without_a_message_is_refused():
    assert status("Unary", []) == 12


def test_a_length_over_the_limit_is_refused_at_its_prefix():
    assert status("Unary", [b"\0\xff\xff\xff\xff"]) == 8


def test_a_limit_may_be_the_methods_own():
    app = GrpcApp({"/t.Echo/Big": UnaryMethod(lambda _, body: body, max_message_bytes=8 * MIB)})
    body, trailers = call(app, "Big", [frame(bytes(8 * MIB))])
    assert (len(body), trailers[b"grpc-status"]) == (8 * MIB + 5, b"0")


@pytest.mark.parametrize(
    ("wire", "encoding", "code"),
    [
        (b"\1" + frame(b"abc")[1:], b"identity", 13),
        (b"\2" + frame(b"abc")[1:], b"gzip", 13),
        (b"\1" + frame(b"no gzip")[1:], b"gzip", 13),
        (b"\1" + frame(gzip.compress(b"cut" * 9)[:-3])[1:], b"gzip", 13),
        (b"\1" + frame(gzip.compress(bytes(4 * MIB + 1)))[1:], b"gzip", 8),
        (b"\1" + frame(zstandard.compress(b"whole"))[1:], b"zstd", 0),
        (b"\1" + frame(b"no zstd")[1:], b"zstd", 13),
        (b"\1" + frame(zstandard.compress(bytes(4 * MIB + 1)))[1:], b"zstd", 8),
        (frame(b"plain, though gzip was announced"), b"gzip", 0),
        (frame(b""), b"identity", 0),
        (frame(b""), b"br", 12),
    ],
)
def test_compression_is_checked(wire, encoding, code):
    assert status("Unary", [wire], [(b"grpc-encoding", encoding)]) == code


def test_an_unknown_encoding_is_told_what_is_spoken():
    _, trailers = call(GrpcApp(METHODS), "Unary", [frame(b"")], [(b"grpc-encoding", b"br")])
    assert trailers[b"grpc-accept-encoding"] == b"identity,gzip,zstd"


def test_gzip_is_not_answered_to_one_who_does_not_take_it():
    wire = frame(b"x" * 5000, compress=True)
    body, _ = call(GrpcApp(METHODS), "Unary", [wire], [(b"grpc-encoding", b"gzip")])
    assert body == frame(b"x" * 5000)


def test_a_call_is_a_post():
    assert status("Unary", [frame(b"")], http_method="GET") == 13


def test_a_peer_that_left_is_not_answered():
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    for method in ("Unary", "Bidi"):
        scope = {"method": "POST", "path": f"/t.Echo/{method}", "headers": [], "client": None}
        asyncio.run(GrpcApp(METHODS)(scope, receive, send))
    assert sent == []


def test_binary_metadata_that_is_not_base64_is_invalid():
    assert status("Reflect", [frame(b"")], [(b"x-blob-bin", b"!!")]) == 3


def test_binary_metadata_needs_no_padding():
    body, trailers = call(GrpcApp(METHODS), "Reflect", [frame(b"")], [(b"x-blob-bin", b"AP8")])
    assert (body, trailers[b"x-initial-bin"]) == (frame(b""), b"AP8=")
