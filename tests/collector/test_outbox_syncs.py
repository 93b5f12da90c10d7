"""No success leaves before the sync that covers it: read off the system calls, not the code."""

import re
import subprocess
import sys
from pathlib import Path

ACKS = 200
WRITER = """
import asyncio, os, sys, time
from pathlib import Path
from collector.model import Report, Signal
from collector.outbox import Outbox

async def client(outbox, number):
    for count in range(int(sys.argv[2])):
        name = b"<%d-%d>" % (number, count)
        await outbox.append([Report(Signal.ALS, name + os.urandom(200), time.time_ns(), "n")])
        os.write(1, name)

async def main():
    outbox = Outbox(Path(sys.argv[1]), 1 << 30, ballast_bytes=65536)
    await asyncio.gather(*(client(outbox, number) for number in range(4)))
    outbox.close()

asyncio.run(main())
"""
TRACE = ["strace", "-f", "-s", "70000", "-e", "trace=pwrite64,fdatasync,fsync,write"]
NAME = re.compile(r"<\d+-\d+>")
CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed)")


def unsynced(lines: list[str]) -> tuple[list[str], int]:
    """The names acknowledged before a sync that began after they were written had ended, and how
    many were acknowledged."""
    written: set[str] = set()
    writing: dict[str, list[str]] = {}  # by thread: names of a write that has not returned
    syncing: dict[str, set[str]] = {}  # by thread: what was written when its sync began
    synced: set[str] = set()
    early: list[str] = []
    acks = 0
    for line in lines:
        found = CALL.match(line)
        if not found:
            continue
        thread, call = found.groups()
        begins, ends = "resumed" not in line[:60], "<unfinished" not in line[-20:]
        if call == "write" and begins and "write(1, " in line[:40]:
            names = NAME.findall(line)
            acks += len(names)
            early += [name for name in names if name not in synced]
        elif call == "pwrite64":
            if begins:
                writing[thread] = NAME.findall(line)
            if ends:
                written.update(writing.pop(thread))
        elif call in ("fdatasync", "fsync"):
            if begins:
                syncing[thread] = set(written)
            if ends:
                synced |= syncing.pop(thread)
    return early, acks


def test_no_acknowledgement_leaves_before_the_sync_that_covers_it(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    words = [sys.executable, "-c", WRITER, str(tmp_path / "outbox"), str(ACKS // 4)]
    subprocess.run([*TRACE, "-o", trace, *words], check=True, stdout=subprocess.DEVNULL)
    early, acks = unsynced(trace.read_text(errors="replace").splitlines())
    assert (early, acks) == ([], ACKS)


def test_the_audit_sees_an_early_acknowledgement() -> None:
    wrote, synced = '7 pwrite64(5, "<0-1>x", 6, 0) = 6', "7 fdatasync(5) = 0"
    told = '7 write(1, "<0-1>", 5) = 5'
    assert unsynced([wrote, synced, told]) == ([], 1)
    assert unsynced([wrote, told, synced]) == (["<0-1>"], 1)
    begun, ended = "8 fdatasync(5 <unfinished ...>", "8 <... fdatasync resumed>) = 0"
    assert unsynced([wrote, begun, told, ended]) == (["<0-1>"], 1)
    assert unsynced([begun, wrote, ended, told]) == (["<0-1>"], 1)
    assert unsynced([wrote, begun, ended, told]) == ([], 1)
