"""CPU of the worker's way: decode, insert, and what ClickHouse spends. In microseconds per span.

    python -m benchmarks.ingest [--rounds 5] [--requests 1 10 40] [--gc-threshold N]

Starts an embedded store of its own. In each round one group of requests is inspected, decoded and
inserted.
"""

import argparse
import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.decoders import decode_group
from collector.decoders.skeleton import inspect_traces
from collector.model import Report, Signal
from collector.store.client import Store
from migrations.clickhouse import migrate_clickhouse
from tests.embedded.daemon import running_store

SPANS, RESOURCES = 512, 4  # of a request
ATTRIBUTES = 12  # of a span, and of a resource
LEAST_SPANS = 50_000  # inserted for a figure: the server's CPU is counted in steps of 10 ms


def request(dice: random.Random, now_ns: int, spans_each: int = SPANS) -> bytes:
    """Spans of four services, with attributes of few, of a thousand and of a billion values.

    A request of few spans is of one service.
    """
    made = ExportTraceServiceRequest()
    resources = RESOURCES if spans_each >= SPANS else 1
    for _ in range(resources):
        resource_spans = made.resource_spans.add()
        service = f"service-{dice.randrange(200)}"
        resource_spans.resource.attributes.append(attribute("service.name", service))
        resource_spans.resource.attributes.extend(
            attribute(f"resource.{number}", f"{service}-{number}")
            for number in range(1, ATTRIBUTES)
        )
        spans = resource_spans.scope_spans.add().spans
        for _ in range(spans_each // resources):
            start_ns = now_ns - dice.randrange(10**9)
            span = spans.add(
                trace_id=dice.randbytes(16),
                span_id=dice.randbytes(8),
                parent_span_id=dice.randbytes(8),
                name=f"GET /items/{dice.randrange(20)}",
                kind=Span.SPAN_KIND_SERVER,
                start_time_unix_nano=start_ns,
                end_time_unix_nano=start_ns + dice.randrange(10**8),
            )
            span.attributes.extend(
                [
                    attribute("http.request.method", "GET"),
                    attribute("http.response.status_code", dice.choice((200, 200, 404, 503))),
                    attribute("url.scheme", "https"),
                    attribute("server.port", 8443),
                ]
            )
            for number in range(4):
                some, many = dice.randrange(1000), dice.randrange(10**9)
                span.attributes.append(attribute(f"some.{number}", f"value-{some}"))
                span.attributes.append(attribute(f"many.{number}", f"value-{many}"))
    return made.SerializeToString()


def attribute(key: str, value: str | int) -> KeyValue:
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    return KeyValue(key=key, value=AnyValue(string_value=value))


def inspect_all(bodies: list[bytes], now_ns: int) -> None:
    for body in bodies:
        inspect_traces(body, now_ns)


def own_cpu_us(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e6


def total_cpu_us(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system) * 1e6


def measure(store: Store, server: psutil.Process, requests: int, rounds: int) -> None:
    now_ns = time.time_ns()
    dice = random.Random(7)
    bodies = [request(dice, now_ns) for _ in range(requests)]
    reports = [Report(Signal.OTLP_TRACES, body, now_ns) for body in bodies]
    spans = requests * SPANS
    costs: dict[str, list[float]] = {}

    def note(step: str, cost_us: float) -> None:
        costs.setdefault(step, []).append(cost_us / spans)

    decoded = decode_group(reports, 0)
    rounds = max(rounds, LEAST_SPANS // spans)
    before_us = total_cpu_us(server)
    for number in range(rounds):
        note("front-end: inspect", own_cpu_us(lambda: inspect_all(bodies, now_ns)))
        note("worker: decode", own_cpu_us(lambda: decode_group(reports, 0)))
        insert = partial(store.insert, "spans", decoded.tables["spans"])
        note("worker: insert", own_cpu_us(partial(insert, token=f"bench:{requests}:{number}")))
    server_us = (total_cpu_us(server) - before_us) / (spans * rounds)
    size = sum(map(len, bodies)) / spans
    print(f"{spans} spans a group, {size:.0f} bytes a span, {rounds} rounds")
    for step, found in costs.items():
        print(f"  {step:20} {statistics.median(found):6.2f} µs  (best {min(found):.2f})")
    print(f"  {'ClickHouse':20} {server_us:6.2f} µs  (mean, with the merges of the meantime)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, nargs="*", default=[1, 10, 40])
    parser.add_argument("--gc-threshold", type=int, help="objects before Python looks for cycles")
    asked = parser.parse_args()
    if asked.gc_threshold:
        gc.set_threshold(asked.gc_threshold, 50, 50)
    with tempfile.TemporaryDirectory() as directory, running_store(Path(directory)) as daemon:
        url = f"{daemon.url.rpartition('/')[0]}/bench"
        migrate_clickhouse(url)
        server = psutil.Process(daemon.process.pid)
        print(f"CPU per span, {ATTRIBUTES} attributes, median of the rounds")
        with Store(url) as store:
            for requests in asked.requests:
                measure(store, server, requests, asked.rounds)


if __name__ == "__main__":
    main()
