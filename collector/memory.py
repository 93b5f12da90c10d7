"""How much memory this process may use before it takes no more reports.

Above the limit reports are refused before their bodies are read, and streams are not read; checks
go on. Memory that was freed and is still held by the allocator is given back first.
"""

import asyncio
import ctypes
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
from prometheus_client import Gauge

from collector.errors import MemoryShort

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.05
TRIM_EVERY_S = 5.0
WAIT_S = 0.1
SHARE = 0.75  # of what there is, when no limit is set
CGROUPS, OURS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
STATM = Path("/proc/self/statm")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MIB = 1024 * 1024

SOFT = Gauge("meshmeter_memory_soft_limit_bytes", "resident memory above which reports wait")


class Memory:
    """`soft_bytes` 0: three quarters of the cgroup's, or the machine's."""

    def __init__(self, soft_bytes: int = 0, resident: Callable[[], int] | None = None) -> None:
        self.soft_bytes = soft_bytes or int(SHARE * there_is())
        self._resident = resident or resident_bytes
        self._looked_s = self._trimmed_s = -TRIM_EVERY_S
        self._used_bytes = 0
        SOFT.set(self.soft_bytes)

    def short(self) -> bool:
        """Costs next to nothing: it is looked at twenty times a second."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now_s
            self._used_bytes = self._resident()
            if self._used_bytes > self.soft_bytes and now_s - self._trimmed_s >= TRIM_EVERY_S:
                self._trimmed_s = now_s
                self._used_bytes = self._trimmed()
        return self._used_bytes > self.soft_bytes

    def refuse(self) -> None:
        """Raises MemoryShort while there is too little."""
        if self.short():
            raise MemoryShort(
                f"{self._used_bytes // MIB} MiB of memory are in use;"
                f" above {self.soft_bytes // MIB} MiB reports have to wait"
            )

    async def enough(self) -> None:
        """Returns when there is."""
        while True:
            if not self.short():
                return
            await asyncio.sleep(WAIT_S)

    def _trimmed(self) -> int:
        log.warning("Memory is short: reports wait", extra={"used_bytes": self._used_bytes})
        with suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)
        return self._resident()


def resident_bytes() -> int:
    return int(STATM.read_text().split()[1]) * PAGE_BYTES


def there_is() -> int:
    """Bytes that this process and its neighbours may use."""
    told = ""
    with suppress(OSError):  # no cgroups
        told = OURS.read_text()
    return min([psutil.virtual_memory().total, *cgroup_limits(told, CGROUPS)])


def cgroup_limits(told: str, mounted: Path) -> Iterator[int]:
    """Of each memory cgroup above this process. `told`: as in `/proc/self/cgroup`."""
    for line in told.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            root, name = mounted, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = mounted / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = root / path.lstrip("/")
        for place in (own, *own.parents):
            if place.is_relative_to(root):
                with suppress(OSError, ValueError):  # not there, or "max"
                    yield int((place / name).read_text())
