"""CPU time of one Check over gRPC: our door against grpcio's server with the very same handler.

    python benchmarks/check.py [--rounds 3] [--rules 1000]

Each server is a process of its own with the real ext_authz front-end over the real checker; the
request matches none of the ten rules of its destination, so it is allowed. h2load (Debian:
nghttp2-client) asks from 1, 16 and 64 connections, the servers take turns, and each cell is the
median of the rounds: user and system time of the whole server over the calls. h2load does not
see grpc-status, so a real client asks both servers first.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

import grpc  # noqa: E402
import psutil  # noqa: E402
import uvloop  # noqa: E402

from collector.checker import EngineChecker  # noqa: E402
from collector.decisions.log import DecisionLog  # noqa: E402
from collector.frontends.envoy_ext_authz import PATH, Authorization  # noqa: E402
from collector.model import Report  # noqa: E402
from collector.proto import envoy_pb2 as pb  # noqa: E402
from collector.services import Services  # noqa: E402
from collector.shares import QuotaSharing, UsageRecorder  # noqa: E402
from collector.transport.asgi import Door  # noqa: E402
from collector.transport.framing import frame  # noqa: E402
from collector.transport.grpc import Reply, UnaryMethod  # noqa: E402
from collector.transport.metadata import Metadata  # noqa: E402
from collector.transport.server import serve  # noqa: E402
from policy.engine import Engine  # noqa: E402
from policy.kinds import DenyRule  # noqa: E402
from policy.quota.memory import MemoryCounters  # noqa: E402
from policy.quota.shares import MemoryShares  # noqa: E402
from policy.snapshot import compile_snapshot  # noqa: E402

CALLS = {1: 3000, 16: 8000, 64: 8000}  # connections, each with one call in flight
GOAL = 0.5
RULES_A_SERVICE = 10
SERVERS = ("door", "grpcio")


class Nowhere:
    """Allows are not sampled here, so nothing is reported."""

    async def report(self, report: Report) -> None:
        raise AssertionError(report.signal)


def authorization(rules: int) -> Authorization:
    made = [
        DenyRule(
            name=f"r{number}",
            match=f'destination.service == "s{number // RULES_A_SERVICE}.shop" && '
            f'request.method == "GET" && request.headers["x-user"] == "u{number}"',
        )
        for number in range(rules)
    ]
    engine = Engine(MemoryCounters(), compile_snapshot(made, version=1))
    decisions = DecisionLog(Nowhere())
    checker = EngineChecker(engine, decisions, allow_sample=0.0)
    sharing = QuotaSharing(engine, MemoryShares(), UsageRecorder(decisions, allow_sample=0.0))
    return Authorization(Services(checker, Nowhere(), sharing), deadline_s=0.025)


async def no_page(_scope: Any, _receive: Any, _send: Any) -> None:
    """There is nothing behind the door."""


async def serve_door(rules: int) -> None:
    door = Door({PATH: UnaryMethod(authorization(rules).check)}, {}, {}, no_page)
    await serve(
        door,
        ["127.0.0.1:0"],
        asyncio.Event(),
        started=lambda bound: print(bound[0][1], flush=True),
    )


async def serve_grpcio(rules: int) -> None:
    check = authorization(rules).check

    async def answer(message: bytes, context: Any) -> bytes:
        fields = {name.encode(): value.encode() for name, value in context.invocation_metadata()}
        made = check(Metadata(fields), message)
        if isinstance(made, bytes):
            return made
        reply = made if isinstance(made, Reply) else await made
        return reply if isinstance(reply, bytes) else reply.message

    service, method = PATH.strip("/").split("/")
    server = grpc.aio.server()
    handlers = {method: grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def request() -> bytes:
    """As Envoy 1.40 sends it: about 400 bytes."""
    context = pb.AttributeContext(context_extensions={"destination.service": "s7.shop"})
    context.source.service = "frontend.shop"
    context.source.address.socket_address.address = "10.0.0.7"
    context.destination.address.socket_address.address = "10.0.0.8"
    context.destination.address.socket_address.port_value = 8080
    context.request.time.FromDatetime(datetime(2026, 1, 2, tzinfo=UTC))
    http = context.request.http
    http.id, http.method, http.path, http.host = "1234567890", "GET", "/cart/7?full=1", "cart"
    http.headers.update(
        {
            ":authority": "cart", ":method": "GET", ":path": "/cart/7?full=1", ":scheme": "http",
            "accept": "*/*", "user-agent": "curl/8.5.0", "x-forwarded-proto": "http",
            "x-request-id": "9d1c1f0e-6f8e-4a57-9c5e-3f0a7f1f6f3a", "x-user": "ada",
        }
    )  # fmt: skip
    return pb.CheckRequest(attributes=context).SerializeToString()


@contextmanager
def running(kind: str, rules: int) -> Iterator[tuple[psutil.Process, str]]:
    command = [sys.executable, __file__, "--serve", kind, "--rules", str(rules)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        yield psutil.Process(process.pid), f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def verified(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        answer = pb.CheckResponse.FromString(channel.unary_unary(PATH)(request()))
    assert answer.HasField("ok_response"), answer


def cpu_us(process: psutil.Process, address: str, connections: int, calls: int, body: str) -> float:
    """Of the server, for each call."""
    command = ["h2load", "-n", str(calls), "-c", str(connections), "-m", "1", "-t", "1"]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    before = process.cpu_times()
    done = subprocess.run(
        [*command, "-d", body, *headers, f"http://{address}{PATH}"],
        capture_output=True,
        text=True,
        check=True,
    )
    after = process.cpu_times()
    assert f"{calls} succeeded" in done.stdout, done.stdout
    return (after.user + after.system - before.user - before.system) / calls * 1e6


def compare(rounds: int, rules: int) -> bool:
    measured: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as owned:
        body = Path(owned.enter_context(tempfile.TemporaryDirectory())) / "body"
        body.write_bytes(frame(request()))
        servers = {kind: owned.enter_context(running(kind, rules)) for kind in SERVERS}
        for process, address in servers.values():
            verified(address)
            cpu_us(process, address, 4, 1000, str(body))
        for _ in range(rounds):
            for connections, calls in CALLS.items():
                for kind, (process, address) in servers.items():
                    found = cpu_us(process, address, connections, calls, str(body))
                    measured.setdefault((kind, connections), []).append(found)
    print(f"CPU µs a Check, {rules} rules, request of {len(request())} bytes, median of {rounds}")
    print(f"{'connections':>11} {'door':>8} {'grpcio':>8} {'ratio':>6}")
    worst = 0.0
    for connections in CALLS:
        ours, theirs = (statistics.median(measured[kind, connections]) for kind in SERVERS)
        worst = max(worst, ours / theirs)
        print(f"{connections:>11} {ours:>8.1f} {theirs:>8.1f} {ours / theirs:>6.2f}")
    print(f"worst ratio {worst:.2f}, goal {GOAL}")
    return worst <= GOAL


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run({"door": serve_door, "grpcio": serve_grpcio}[options.serve](options.rules))
        return 0
    started_s = time.monotonic()
    met = compare(options.rounds, options.rules)
    print(f"took {time.monotonic() - started_s:.0f} s")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
