"""What a data point costs from the front-end to the disk, and what asking for rates takes.

    python -m benchmarks.metrics [--sidecars 100] [--edges 4] [--minutes 60]

So many sidecars send two counters and one histogram of each edge every 5 seconds, cumulative, as
Envoy does. CPU in microseconds per point; bytes as ClickHouse has them on disk once parts are
merged; milliseconds are the median of five questions for the rates of all series over an hour.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import psutil
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from benchmarks.ingest import own_cpu_us, total_cpu_us
from collector.decoders import decode_group
from collector.decoders.skeleton import inspect_metrics
from collector.model import Report, Signal
from collector.store.client import Store
from collector.store.queries.metric_rates import metric_rates
from migrations.clickhouse import migrate_clickhouse
from tests.embedded.daemon import running_store

EVERY_NS = 5 * 10**9
BOUNDS = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 3e5, 6e5,
          18e5, 36e5]  # fmt: skip
GROUP = 500  # requests of one insert

SIZE = """
SELECT sum(data_compressed_bytes) / sum(rows)
FROM system.parts
WHERE database = currentDatabase() AND table = 'metric_points' AND active
"""


def export(sidecar: int, edges: int, time_ns: int, start_ns: int) -> bytes:
    """All edges of a sidecar at one time."""
    made = ExportMetricsServiceRequest()
    resource_metrics = made.resource_metrics.add()
    service = f"service-{sidecar % 20}.shop"
    for key, value in (("service.name", service), ("k8s.pod.name", f"pod-{sidecar}")):
        resource_metrics.resource.attributes.add(key=key).value.string_value = value
    scope_metrics = resource_metrics.scope_metrics.add()
    sent = (time_ns - start_ns) // EVERY_NS
    for edge in range(edges):
        for name in ("mesh.requests", "mesh.response_bytes", "mesh.request_duration"):
            metric = scope_metrics.metrics.add(name=name)
            if name == "mesh.request_duration":
                metric.histogram.aggregation_temporality = 2
                point = metric.histogram.data_points.add(count=sent * 5, sum=sent * 60.5)
                point.explicit_bounds.extend(BOUNDS)
                point.bucket_counts.extend([0, 0, sent, 3 * sent, sent, *[0] * 15])
            else:
                metric.sum.aggregation_temporality = 2
                metric.sum.is_monotonic = True
                point = metric.sum.data_points.add(as_int=sent * (5 + edge))
            point.time_unix_nano = time_ns
            point.start_time_unix_nano = start_ns // 1000
            told = {"source": f"caller-{edge}.shop", "destination": service, "code": "200"}
            told |= {"reporter": "inbound", "flags": "-", "source_principal": "-", "rule": "-"}
            for key, value in told.items():
                point.attributes.add(key=key).value.string_value = value
    return made.SerializeToString()


def fill(store: Store, sidecars: int, edges: int, times: list[int]) -> dict[str, float]:
    """The CPU of each step, in microseconds."""
    spent = {"front-end: inspect": 0.0, "worker: decode": 0.0, "worker: insert": 0.0}
    start_ns = times[0] - EVERY_NS
    reports = [
        Report(Signal.OTLP_METRICS, export(sidecar, edges, time_ns, start_ns), times[-1])
        for time_ns in times
        for sidecar in range(sidecars)
    ]
    for number in range(0, len(reports), GROUP):
        group = reports[number : number + GROUP]
        spent["front-end: inspect"] += own_cpu_us(
            lambda group=group: [inspect_metrics(report.body, times[-1]) for report in group]
        )
        decoded = []
        spent["worker: decode"] += own_cpu_us(
            lambda group=group, decoded=decoded: decoded.append(decode_group(group, 1))
        )
        columns, token = decoded[0].tables["metric_points"], f"bench:{number}"
        spent["worker: insert"] += own_cpu_us(
            lambda columns=columns, token=token: store.insert("metric_points", columns, token=token)
        )
    return spent


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sidecars", type=int, default=100)
    parser.add_argument("--edges", type=int, default=4)
    parser.add_argument("--minutes", type=int, default=60)
    asked = parser.parse_args()
    end_ns = time.time_ns() // EVERY_NS * EVERY_NS
    times = list(range(end_ns - asked.minutes * 60 * 10**9, end_ns, EVERY_NS))
    points = len(times) * asked.sidecars * asked.edges * 3
    with tempfile.TemporaryDirectory() as directory, running_store(Path(directory)) as daemon:
        url = f"{daemon.url.rpartition('/')[0]}/bench"
        migrate_clickhouse(url)
        server = psutil.Process(daemon.process.pid)
        with Store(url) as store:
            before_us = total_cpu_us(server)
            spent = fill(store, asked.sidecars, asked.edges, times)
            store.command("OPTIMIZE TABLE metric_points FINAL")
            spent["ClickHouse, with merges"] = total_cpu_us(server) - before_us
            ((size,),) = store.rows(SIZE)
            series = asked.sidecars * asked.edges * 3
            print(f"{points} points of {series} series, {asked.edges * 3 * GROUP} a group")
            for step, cost_us in spent.items():
                print(f"  {step:24} {cost_us / points:7.2f} µs a point")
            print(f"  on disk                  {size:7.2f} bytes a point")
            for metric in ("mesh.requests", "mesh.request_duration"):
                took, cpu_ms = [], []
                for _ in range(5):
                    begun, before_us = time.perf_counter(), total_cpu_us(server)
                    found = metric_rates(store, metric, end_ns - 3600 * 10**9, end_ns)
                    took.append((time.perf_counter() - begun) * 1000)
                    cpu_ms.append((total_cpu_us(server) - before_us) / 1000)
                wall = f"{statistics.median(took):5.0f} ms"
                cpu = f"{statistics.median(cpu_ms):.0f} of CPU"
                print(f"  rates of {metric:22} {wall}, {cpu}, {len(found.series)} series")


if __name__ == "__main__":
    main()
