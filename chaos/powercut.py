"""Power cuts: what was acknowledged must be on the disk, not only on its way there.

The outbox is written on an ext4 in an image file. The writer is stopped, its acknowledgements are
read, and the image is copied as it is: without what only the kernel's memory holds. The copy is
mounted, recovered and read.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from chaos.disk import run
from collector.outbox import Outbox

MIB = 1024 * 1024
IMAGE_BYTES = 192 * MIB
FIRST_S, LONGEST_S = 0.05, 0.5  # between the first acknowledgement and the cut


class Cut(NamedTuple):
    acknowledged: int
    lost: int


def cuts(count: int, directory: Path, say: Callable[[str], None]) -> Iterator[Cut]:
    """One after the other, each on a new disk. Raises CannotMount."""
    for number in range(1, count + 1):
        found = cut(directory)
        say(f"{number} of {count} cuts: {found.acknowledged} acknowledged, {found.lost} lost")
        yield found


def cut(directory: Path) -> Cut:
    image, copy, mounted = (directory / name for name in ("disk", "copy", "mounted"))
    mounted.mkdir(exist_ok=True)
    with image.open("wb") as disk:
        disk.truncate(IMAGE_BYTES)
    run("mkfs.ext4", "-q", "-F", str(image))
    try:
        with on_disk(image, mounted):
            acknowledged = written(mounted / "outbox", image, copy)
        with on_disk(copy, mounted):
            stored = names_in(mounted / "outbox")
    finally:
        image.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
    return Cut(len(acknowledged), len(acknowledged - stored))


def written(outbox: Path, image: Path, copy: Path) -> set[bytes]:
    """What was acknowledged until the image was copied."""
    words = [sys.executable, "-m", "chaos.acknowledging", str(outbox)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None  # noqa: S101 (a pipe was asked for)
    try:
        first = process.stdout.readline()
        after_s = random.uniform(FIRST_S, LONGEST_S)  # noqa: S311 (when, not a secret)
        stopping = threading.Timer(after_s, lambda: process.send_signal(signal.SIGSTOP))
        stopping.start()
        said = first + until_stopped(process.stdout.fileno(), stopping)
        run("cp", "--sparse=always", str(image), str(copy))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return set(said[: said.rfind(b"\n")].split())


def until_stopped(pipe: int, stopping: threading.Timer) -> bytes:
    """A pipe that is not read would stop the writer sooner."""
    os.set_blocking(pipe, False)
    said = b""
    while True:
        last = not stopping.is_alive()
        with contextlib.suppress(BlockingIOError):
            said += os.read(pipe, MIB)
            continue
        if last:
            return said
        stopping.join(0.01)


def names_in(outbox: Path) -> set[bytes]:
    found: set[bytes] = set()
    opened = Outbox(outbox, 64 * MIB, ballast_bytes=MIB)
    try:
        while group := opened.freeze_group(4 * MIB):
            found |= {report.body.partition(b" ")[0] for report in opened.read_group(group)}
    finally:
        opened.close()
    return found


@contextlib.contextmanager
def on_disk(image: Path, at: Path) -> Iterator[None]:
    run("mount", "-o", "loop", str(image), str(at))
    try:
        yield
    finally:
        run("umount", str(at))
