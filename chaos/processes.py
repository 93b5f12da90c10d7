"""What the processes hold on to, before and after: nothing may be left of a fault."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

from collector.settings import PREFIX
from launch.supervisor import Supervisor

MIB = 1024 * 1024
# What a process may have gained in a run: connections, each with a thread in the store; caches.
MORE_FILES, MORE_THREADS, MORE_BYTES = 64, 16, 512 * MIB
# ClickHouse keeps the threads of its pool when their work is done, as many as were ever busy at
# once, and calls them so meanwhile.
IDLE = "ThreadPool"


class Usage(NamedTuple):
    files: int
    threads: int  # that do something, or wait for something
    resident_bytes: int


def usage(supervisor: Supervisor) -> dict[str, Usage]:
    """By process. Raises psutil.Error for one that has just ended."""
    found = {}
    for name, child in supervisor.children.items():
        process = psutil.Process(child.process.pid)
        found[name] = Usage(
            process.num_fds(), busy_threads(process), int(process.memory_info().rss)
        )
    return found


def busy_threads(process: psutil.Process) -> int:
    """Those that do not wait in ClickHouse's pool for work."""
    count = 0
    for thread in process.threads():
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            name = Path(f"/proc/{process.pid}/task/{thread.id}/comm").read_text()
            count += name.rstrip() != IDLE
    return count


def gained(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> list[str]:
    """What has grown too much, in a sentence each."""
    said = []
    for name, was in before.items():
        now = after[name]
        if now.files > was.files + MORE_FILES:
            said.append(f"{name} has {now.files} files open, before {was.files}")
        if now.threads > was.threads + MORE_THREADS:
            said.append(f"{name} has {now.threads} threads, before {was.threads}")
        if now.resident_bytes > was.resident_bytes + MORE_BYTES:
            said.append(
                f"{name} holds {now.resident_bytes // MIB} MiB, before"
                f" {was.resident_bytes // MIB} MiB"
            )
    return said


def strays(supervisor: Supervisor, data_dir: Path) -> list[int]:
    """Processes of this data directory that no supervisor looks after."""
    own = psutil.Process()
    known = {own.pid, *(child.process.pid for child in supervisor.children.values())}
    above = {parent.pid for parent in own.parents()}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = process.environ().get(f"{PREFIX}DATA_DIR") == str(data_dir)
            if ours and not {process.pid, process.ppid()} & known and process.pid not in above:
                found.append(process.pid)
    return found
