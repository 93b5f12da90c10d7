"""CPU of a Prometheus sample's way, by step, in microseconds per sample.

    python -m benchmarks.remote_write [--samples 2000] [--requests 25] [--rounds 5]

So many samples a request (a Prometheus sends up to 2,000) of counters with 8 labels, in snappy:
what the front-end does up to the outbox, and what the worker decodes and inserts into an embedded
store of its own. The same in both versions of the protocol.
"""

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import cramjam

from benchmarks.ingest import own_cpu_us
from collector.decoders import decode_group
from collector.decoders.remote_write import inspect
from collector.model import Report, Signal
from collector.settings import Settings
from collector.store.client import Store
from collector.transport.compression import unsnappy
from migrations.clickhouse import migrate_clickhouse
from tests.collector.write_requests import sample, series, version_1, version_2
from tests.embedded.daemon import running_store

VERSIONS = {Signal.REMOTE_WRITE: version_1, Signal.REMOTE_WRITE_V2: version_2}
LABELS = {"namespace": "shop", "container": "app", "method": "GET", "code": "200", "path": "/a"}


def request(signal: Signal, samples: int, at_ms: int) -> bytes:
    """One sample a series, of 20 metrics on as many instances as it takes."""
    found = [
        series(
            f"http_requests_{number % 20}_total",
            sample(float(number), at_ms),
            **LABELS,
            instance=f"10.0.{number // 5120}.{number // 20 % 256}:8080",
        )
        for number in range(samples)
    ]
    return bytes(cramjam.snappy.compress_raw(VERSIONS[signal](*found)))


def front_end(signal: Signal, sent: list[bytes], now_ns: int, limit: int) -> None:
    for body in sent:
        inspect(signal, unsnappy(body, limit), now_ns)


def measure(store: Store, signal: Signal, samples: int, requests: int, rounds: int) -> None:
    now_ns, limit = time.time_ns(), Settings().max_body_bytes
    sent = [
        request(signal, samples, now_ns // 10**6 - 15_000 * number) for number in range(requests)
    ]
    reports = [Report(signal, unsnappy(body, limit), now_ns, "prometheus-0") for body in sent]
    columns = decode_group(reports, 0).tables["metric_points"]
    costs: dict[str, list[float]] = {}
    for number in range(rounds):
        steps = {
            "front-end": partial(front_end, signal, sent, now_ns, limit),
            "worker: decode": partial(decode_group, reports, 0),
            "worker: insert": partial(
                store.insert, "metric_points", columns, token=f"bench:{signal}:{number}"
            ),
        }
        for step, work in steps.items():
            costs.setdefault(step, []).append(own_cpu_us(work) / (samples * requests))
    print(f"{signal}: {sum(map(len, sent)) / (samples * requests):.0f} bytes a sample in snappy")
    for step, found in costs.items():
        print(f"  {step:16} {statistics.median(found):6.2f} µs  (best {min(found):.2f})")


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=2000, help="of a request")
    parser.add_argument("--requests", type=int, default=25, help="of a group")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, running_store(Path(directory)) as daemon:
        url = f"{daemon.url.rpartition('/')[0]}/bench"
        migrate_clickhouse(url)
        print(f"{asked.samples} samples a request, {asked.requests} requests a group")
        with Store(url) as store:
            for signal in VERSIONS:
                measure(store, signal, asked.samples, asked.requests, asked.rounds)


if __name__ == "__main__":
    main()
