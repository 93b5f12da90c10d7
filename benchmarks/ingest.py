"""CPU of the worker's way: decode, insert, and what ClickHouse spends. In microseconds per span.

    python -m benchmarks.ingest [--rounds 5] [--groups 512 5120 20480] [--sizes 512 5]
        [--gc-threshold N]

Starts an embedded store of its own. In each round one group, of so many spans in requests of one
size, is inspected, and decoded and inserted twice: by columns, as a worker does it, and by rows,
which is the reference.
"""

import argparse
import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from operator import add
from pathlib import Path

import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.decoders import Decoded, decode_group
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


def measure(store: Store, server: psutil.Process, spans: int, size: int, rounds: int) -> None:
    now_ns = time.time_ns()
    dice = random.Random(7)
    bodies = [request(dice, now_ns, size) for _ in range(spans // size)]
    reports = [Report(Signal.OTLP_TRACES, body, now_ns, items=size) for body in bodies]
    spans = len(bodies) * size
    costs: dict[str, list[float]] = {}

    def note(step: str, cost_us: float) -> None:
        costs.setdefault(step, []).append(cost_us / spans)

    def store_group(way: str, number: int, *, by_columns: bool) -> None:
        def decode() -> None:
            decoded.append(decode_group(reports, 0, by_columns=by_columns))

        decoded: list[Decoded] = []
        note(f"{way}: decode", own_cpu_us(decode))
        insert = partial(store.insert, "spans", decoded[0].tables["spans"])
        token = f"bench:{spans}:{size}:{way}:{number}"
        note(f"{way}: insert", own_cpu_us(partial(insert, token=token)))

    rounds = max(rounds, LEAST_SPANS // spans)
    before_us = total_cpu_us(server)
    for number in range(rounds):
        note("front-end: inspect", own_cpu_us(lambda: inspect_all(bodies, now_ns)))
        store_group("columns", number, by_columns=True)
        store_group("rows", number, by_columns=False)
    server_us = (total_cpu_us(server) - before_us) / (2 * spans * rounds)
    bytes_each = sum(map(len, bodies)) / spans
    print(f"{spans} spans a group, {size} a request, {bytes_each:.0f} bytes each, {rounds} rounds")
    for step, found in costs.items():
        print(f"  {step:20} {statistics.median(found):6.2f} µs  (best {min(found):.2f})")
    columns, rows = (
        statistics.median(map(add, costs[f"{way}: decode"], costs[f"{way}: insert"]))
        for way in ("columns", "rows")
    )
    print(f"  {'worker':20} {columns:6.2f} µs, by rows {rows:.2f}: {rows / columns:.1f} times")
    print(f"  {'ClickHouse':20} {server_us:6.2f} µs  (mean, with the merges of the meantime)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--groups", type=int, nargs="+", default=[512, 5120, 20480], help="spans")
    parser.add_argument("--sizes", type=int, nargs="+", default=[SPANS, 5], help="spans a request")
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
            for size, spans in product(asked.sizes, asked.groups):
                measure(store, server, spans, size, asked.rounds)


if __name__ == "__main__":
    main()
