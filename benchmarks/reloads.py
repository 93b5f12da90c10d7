"""Changes of rules one by one through the API of a collector that answers checks all the time.

python -m benchmarks.reloads [CHANGES]

Every answer is held to what the rules said between the last change that was confirmed before the
check and the last that was begun before its answer.
"""

import sys
import tempfile
import time
from pathlib import Path

from tests.bad_input.live import LiveCollector
from tests.collector.reloading import reloaded
from tests.conftest import ValkeyProcess

CHANGES = 1000


def run(directory: Path, changes: int) -> None:
    counters = ValkeyProcess(directory / "valkey")
    collector = LiveCollector(directory, counters.url)
    began = time.perf_counter()
    count = reloaded(collector, changes)
    took_s = time.perf_counter() - began
    collector.kill()
    counters.kill()
    print(f"{changes} changes in {took_s:.0f} s, {count.answered} checks answered,")
    print(
        f"{count.stale} of them by a version that was not in force, {count.failed or 'none'} failed"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        run(Path(name), int(sys.argv[1]) if sys.argv[1:] else CHANGES)
