"""CPU and latency of an append to the outbox: `python -m benchmarks.outbox [directory]`.

Bodies are random, each its own; 260,000 bytes is an OTLP request of 512 spans. CPU is that of the
whole process: event loop, hashing and the writer's thread. The disk decides the latency.
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from collector.model import Report, Signal
from collector.outbox import Outbox

CASES = [
    (size, concurrency, count)
    for size, count in ((1_000, 6_000), (16_000, 3_000), (260_000, 900))
    for concurrency in (1, 16, 128)
]


async def measure(outbox: Outbox, size: int, concurrency: int, count: int) -> str:
    filling = os.urandom(size)
    numbers = iter(range(count))
    latencies_s: list[float] = []

    async def client() -> None:
        for number in numbers:
            body = number.to_bytes(8, "big") + filling[8:]
            start_s = time.perf_counter()
            await outbox.append([Report(Signal.OTLP_TRACES, body, time.time_ns(), "bench")])
            latencies_s.append(time.perf_counter() - start_s)

    cpu_s, start_s = time.process_time(), time.perf_counter()
    await asyncio.gather(*(client() for _ in range(concurrency)))
    cpu_s, elapsed_s = time.process_time() - cpu_s, time.perf_counter() - start_s
    latencies_s.sort()
    p50_ms, p99_ms = (1e3 * latencies_s[int(count * share)] for share in (0.5, 0.99))
    return (
        f"{size:>9,} {concurrency:>8} {cpu_s / count * 1e6:>12.0f} {count / elapsed_s:>10,.0f}"
        f" {p50_ms:>9.1f} {p99_ms:>9.1f}"
    )


def main() -> None:
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    heads = ("bytes", "at once", "CPU-us each", "a second", "p50 ms", "p99 ms")
    widths = (9, 8, 12, 10, 9, 9)
    print(" ".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)))
    for size, concurrency, count in CASES:
        with tempfile.TemporaryDirectory(dir=parent) as directory:
            outbox = Outbox(Path(directory), 4 * 1024**3)
            print(asyncio.run(measure(outbox, size, concurrency, count)), flush=True)
            outbox.close()


if __name__ == "__main__":
    main()
