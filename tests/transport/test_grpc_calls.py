"""gRPC as grpcio, the reference client, sees it."""

import logging
from collections.abc import Iterator
from queue import SimpleQueue

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from collector.transport.grpc import Metadata, UnaryMethod
from tests.transport.echo import METHODS, Patience
from tests.transport.serving import serving
from tests.waiting import eventually

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def channel() -> Iterator[grpc.Channel]:
    with serving(METHODS) as server, grpc.insecure_channel(server.address) as channel:
        yield channel


def refusal(channel: grpc.Channel, method: str, message: bytes) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(f"/t.Echo/{method}")(message)
    return refused.value


def trailers(error: grpc.RpcError) -> dict[str, str | bytes]:
    return dict(error.trailing_metadata())


@pytest.mark.parametrize("size", [0, 1, 70_000, 4 * MIB])
def test_a_unary_call_is_answered_at_every_size(channel, size):
    message = b"x" * size
    assert channel.unary_unary("/t.Echo/Unary")(message) == message


def test_metadata_goes_both_ways_text_and_binary(channel):
    sent = (("x-text", "plain, text"), ("x-blob-bin", b"\0\xff\n"), ("x-mesh-node", "b-1.default"))
    answer, call = channel.unary_unary("/t.Echo/Reflect").with_call(b"hi", metadata=sent)
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert answer == b"hi"
    assert (initial["x-initial"], initial["x-initial-bin"]) == ("plain, text", b"\0\xff\n")
    assert (trailing["x-trailing"], trailing["x-trailing-bin"]) == ("b-1.default", b"\0\1")


def test_a_sender_without_a_name_is_known_by_its_address(channel):
    sent = (("x-blob-bin", b""),)
    _, call = channel.unary_unary("/t.Echo/Reflect").with_call(b"", metadata=sent)
    assert dict(call.trailing_metadata())["x-trailing"] == "127.0.0.1"


def test_a_bidirectional_stream_answers_each_message_in_turn(channel):
    answers = channel.stream_stream("/t.Echo/Bidi")(b"%d" % n for n in range(500))
    assert list(answers) == [b"%d" % n for n in range(500)] + [b"bye"]


def test_a_stream_is_answered_before_the_client_has_sent_all(channel):
    to_send: SimpleQueue[bytes] = SimpleQueue()
    answers = channel.stream_stream("/t.Echo/Bidi")(iter(to_send.get, b"end"))
    for message in (b"first", b"second"):
        to_send.put(message)
        assert next(answers) == message
    to_send.put(b"end")
    assert list(answers) == [b"bye"]


def test_a_client_stream_is_answered_at_its_end(channel):
    messages = [b"x" * 10_000] * 400
    assert channel.stream_unary("/t.Echo/Sum")(iter(messages)) == b"4000000"


def test_a_server_stream_sends_all_its_messages(channel):
    answers = channel.unary_stream("/t.Echo/Count")(b"1000")
    assert list(answers) == [b"%d" % n for n in range(1000)]


def test_an_empty_stream_ends_well(channel):
    assert list(channel.stream_stream("/t.Echo/Bidi")(iter(()))) == [b"bye"]


@pytest.mark.parametrize("method", ["Fail", "FailLater"])
@pytest.mark.parametrize(
    ("message", "code", "details"),
    [
        (b"malformed", grpc.StatusCode.INVALID_ARGUMENT, "no such field"),
        (b"too-large", grpc.StatusCode.RESOURCE_EXHAUSTED, "9 bytes"),
        (b"unsupported", grpc.StatusCode.UNIMPLEMENTED, "br"),
        (b"unready", grpc.StatusCode.UNAVAILABLE, "the outbox is full"),
        (b"denied", grpc.StatusCode.PERMISSION_DENIED, "nein: 100 % naïve\n"),
        (b"bug", grpc.StatusCode.INTERNAL, "internal error"),
    ],
)
def test_each_error_has_its_code(channel, method, message, code, details):
    error = refusal(channel, method, message)
    assert (error.code(), error.details()) == (code, details)


def test_an_error_carries_details_and_trailers(channel):
    sent = trailers(refusal(channel, "Fail", b"denied"))
    status = Status.FromString(sent["grpc-status-details-bin"])
    why = StringValue()
    assert status.details[0].Unpack(why)
    assert (status.code, why.value) == (7, "why")
    assert (sent["x-rule"], sent["x-proof-bin"]) == ("r@3", b"\0\xff")


def test_try_again_says_when_in_both_places(channel):
    sent = trailers(refusal(channel, "Fail", b"unready"))
    plain = RetryInfo.FromString(sent["google.rpc.retryinfo-bin"])
    packed = RetryInfo()
    assert Status.FromString(sent["grpc-status-details-bin"]).details[0].Unpack(packed)
    assert plain == packed
    assert 1.0 <= plain.retry_delay.ToMilliseconds() / 1000 < 1.5


def test_too_large_never_says_try_again(channel):
    assert "google.rpc.retryinfo-bin" not in trailers(refusal(channel, "Fail", b"too-large"))


def test_a_bug_is_logged_once_and_told_to_nobody(channel, caplog):
    with caplog.at_level(logging.ERROR):
        error = refusal(channel, "Fail", b"bug")
    assert "secret" not in error.details()
    assert [record.message for record in caplog.records] == ["A gRPC handler failed"]


def test_an_error_after_an_answer_comes_in_the_trailers(channel):
    answers = channel.stream_stream("/t.Echo/Breaks")(iter([b"one", b"denied"]))
    assert next(answers) == b"one"
    with pytest.raises(grpc.RpcError) as refused:
        next(answers)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_an_unknown_method_is_unimplemented(channel):
    assert refusal(channel, "Nope", b"").code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_message_over_the_limit_is_refused(channel):
    error = refusal(channel, "Unary", b"x" * (4 * MIB + 1))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("message", [b"tiny", b"x" * MIB])
def test_gzip_works_both_ways(channel, message):
    call = channel.unary_unary("/t.Echo/Unary")
    assert call(message, compression=grpc.Compression.Gzip) == message


def test_gzip_works_on_streams(channel):
    messages = [b"a" * 5000, b"b", b"c" * 9000]
    call = channel.stream_stream("/t.Echo/Bidi")
    answers = call(iter(messages), compression=grpc.Compression.Gzip)
    assert list(answers) == [*messages, b"bye"]


def test_a_bomb_is_refused_without_being_unpacked(channel):
    call = channel.unary_unary("/t.Echo/Unary")
    with pytest.raises(grpc.RpcError) as refused:
        call(bytes(64 * MIB), compression=grpc.Compression.Gzip)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_another_encoding_is_refused_by_name(channel):
    call = channel.unary_unary("/t.Echo/Unary")
    with pytest.raises(grpc.RpcError) as refused:
        call(b"x" * 5000, compression=grpc.Compression.Deflate)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "deflate" in refused.value.details()


def test_a_deadline_cancels_the_handler():
    patience = Patience()
    with (
        serving({"/t.Echo/Wait": UnaryMethod(patience)}) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/t.Echo/Wait")(b"", timeout=0.2)
        assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert eventually(lambda: patience.cancelled) == 1


def test_a_client_that_gives_up_cancels_the_handler():
    patience = Patience()
    with (
        serving({"/t.Echo/Wait": UnaryMethod(patience)}) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        call = channel.unary_unary("/t.Echo/Wait").future(b"")
        eventually(lambda: patience.calls)
        call.cancel()
        assert eventually(lambda: patience.cancelled) == 1


def test_a_unary_call_is_answered_before_the_half_close():
    def name(metadata: Metadata, message: bytes) -> bytes:
        return metadata.identity.encode() + message

    with (
        serving({"/t.Echo/Name": UnaryMethod(name)}) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        to_send: SimpleQueue[bytes] = SimpleQueue()
        call = channel.stream_unary("/t.Echo/Name").future(iter(to_send.get, b"end"))
        to_send.put(b"!")
        assert call.result(timeout=10) == b"127.0.0.1!"
        to_send.put(b"end")
