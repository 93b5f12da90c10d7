"""The server under many calls and connections, and at its end."""

import json
import resource
import socket
import subprocess
import threading
from collections.abc import Iterator
from queue import SimpleQueue

import grpc
import pytest

from collector.errors import InvalidSetting
from collector.transport.framing import frame
from collector.transport.grpc import StreamMethod, UnaryMethod
from collector.transport.listening import listener
from collector.transport.server import STREAM_WINDOW
from tests.transport.echo import METHODS, Echo, Patience
from tests.transport.serving import serving
from tests.waiting import eventually

RETRY = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def unary(channel: grpc.Channel, message: bytes = b"x", **options: float) -> bytes:
    answer: bytes = channel.unary_unary("/t.Echo/Unary")(message, **options)
    return answer


def test_twenty_thousand_calls_on_one_connection_all_succeed():
    with serving(METHODS) as server, grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary("/t.Echo/Unary")
        for start in range(0, 20_000, 100):
            sent = [b"%d" % n for n in range(start, start + 100)]
            assert [pending.result() for pending in [call.future(m) for m in sent]] == sent


def test_a_thousand_connections_are_all_answered(many_files, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(frame(b"hello"))
    with serving(METHODS) as server:
        url = f"http://{server.address}/t.Echo/Unary"
        headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        load = subprocess.run(
            ["h2load", "-n", "5000", "-c", "1000", "-m", "1", "-d", body, *headers, url],
            capture_output=True,
            text=True,
            check=True,
        )
        with grpc.insecure_channel(server.address) as channel:
            assert unary(channel, b"still there") == b"still there"
    assert "5000 succeeded, 0 failed, 0 errored, 0 timeout" in load.stdout


def test_two_hundred_grpc_connections_each_hold_a_stream(many_files):
    options = [("grpc.use_local_subchannel_pool", 1)]
    with serving(METHODS) as server:
        channels = [grpc.insecure_channel(server.address, options) for _ in range(200)]
        ends = [SimpleQueue[bytes]() for _ in channels]
        streams = [
            channel.stream_stream("/t.Echo/Bidi")(iter(end.get, b""))
            for channel, end in zip(channels, ends, strict=True)
        ]
        for number, end in enumerate(ends):
            end.put(b"%d" % number)
        assert [next(stream) for stream in streams] == [b"%d" % n for n in range(200)]
        for end in ends:
            end.put(b"")
        assert [list(stream) for stream in streams] == [[b"bye"]] * 200
        for channel in channels:
            channel.close()


def test_a_taken_port_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(InvalidSetting, match=f"^cannot listen on {address}: Address already"):
            listener(address)


def test_a_shared_port_may_be_bound_twice():
    with (
        serving(METHODS, reuse_port=True) as first,
        serving(METHODS, address=first.address, reuse_port=True) as second,
    ):
        assert first.address == second.address


def test_what_is_in_flight_is_answered_before_the_end():
    patience = Patience()
    with (
        serving({"/t.Echo/Wait": UnaryMethod(patience)}) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        calls = [channel.unary_unary("/t.Echo/Wait").future(b"%d" % n) for n in range(50)]
        eventually(lambda: patience.calls == 50)
        server.begin_stop()
        eventually(lambda: refuses_connections(server.address))
        server.release(patience.release)
        assert [call.result(timeout=10) for call in calls] == [b"%d" % n for n in range(50)]


def refuses_connections(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return True
    return False


def test_what_never_ends_is_cancelled_after_the_drain():
    patience = Patience()
    with (
        serving({"/t.Echo/Wait": UnaryMethod(patience)}, drain_s=0.3) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        call = channel.unary_unary("/t.Echo/Wait").future(b"")
        eventually(lambda: patience.calls)
        server.stop()
        assert patience.cancelled == 1
        assert isinstance(call.exception(timeout=10), grpc.RpcError)


def test_a_stream_is_read_to_the_end_of_what_arrived_then_told_to_go_elsewhere():
    seen: list[bytes] = []

    class Keep(Echo):
        def message(self, body: bytes) -> list[bytes]:
            seen.append(body)
            return [body]

    with (
        serving({"/t.Echo/Keep": StreamMethod(lambda _metadata: Keep())}) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        to_send: SimpleQueue[bytes] = SimpleQueue()
        answers = channel.stream_stream("/t.Echo/Keep")(iter(to_send.get, b"end"))
        for number in range(100):
            to_send.put(b"%d" % number)
        received = [next(answers)]
        server.begin_stop()
        with pytest.raises(grpc.RpcError) as refused:
            received.extend(answers)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert received == seen == [b"%d" % number for number in range(100)]
        to_send.put(b"end")


def test_a_peer_is_held_back_while_the_handler_is_at_work():
    """Not reading is all it takes: about a window is sent, of the gigabyte that waits."""
    patience = Patience()
    asked: list[int] = []

    class Busy(Echo):
        async def message(self, body: bytes) -> list[bytes]:
            await patience.release.wait()
            return []

    def much() -> Iterator[bytes]:
        for number in range(16_384):
            asked.append(number)
            yield bytes(64 * 1024)

    def at_rest() -> bool:
        before = len(asked)
        threading.Event().wait(0.3)
        return len(asked) == before > 0

    with (
        serving({"/t.Echo/Busy": StreamMethod(lambda _metadata: Busy())}) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        call = channel.stream_unary("/t.Echo/Busy").future(much())
        eventually(at_rest)
        assert len(asked) * 64 * 1024 < 4 * STREAM_WINDOW
        call.cancel()


def keep_calling(
    channel: grpc.Channel, done: threading.Event, failures: list[grpc.RpcError], calls: list[int]
) -> None:
    while not done.is_set():
        try:
            unary(channel, b"x", timeout=20)
            calls.append(1)
        except grpc.RpcError as error:
            failures.append(error)


def test_a_rolling_restart_costs_a_client_that_retries_no_call():
    """h2corn closes right after GOAWAY: what is on the wire just then comes back UNAVAILABLE."""
    done, failures, calls = threading.Event(), [], []
    with serving(METHODS, reuse_port=True) as old:
        channels = [
            grpc.insecure_channel(
                old.address,
                [("grpc.use_local_subchannel_pool", 1), ("grpc.service_config", RETRY)],
            )
            for _ in range(8)
        ]
        callers = [
            threading.Thread(target=keep_calling, args=(channel, done, failures, calls))
            for channel in channels
        ]
        for caller in callers:
            caller.start()
        eventually(lambda: len(calls) > 500)
        with serving(METHODS, address=old.address, reuse_port=True):
            old.stop()
            before = len(calls)
            eventually(lambda: len(calls) > before + 500)
            done.set()
            for caller in callers:
                caller.join()
            for channel in channels:
                channel.close()
    assert failures == []
