"""Before the engine opens: forgets deduplication tokens whose rows were never written.

A MergeTree insert notes its token in the table's deduplication log first and gives the part its
name after that. Killed between the two, the engine remembers a token without rows, drops the
retry that would have brought them, and an acknowledged insert is lost. A token is forgotten here
when no part of the table holds its block any more; the retry then inserts.

Log lines are `operation <tab> part <tab> block id`, operation 1 added, 2 dropped; part names are
`partition_minblock_maxblock_level`, and a merge covers the blocks between its two.
Source: ClickHouse, MergeTreeSink::finishDelayedChunk and MergeTreeDeduplicationLog.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

LOGS = "deduplication_logs"
LOG = re.compile(r"deduplication_log_(\d+)\.txt")
PART = re.compile(r"(?P<partition>.+?)_(?P<first>\d+)_(?P<last>\d+)_\d+(?:_\d+)?")
ADDED, DROPPED = "1", "2"

Blocks = dict[str, list[tuple[int, int]]]  # by partition, those that parts hold, both ends in


def forget_unwritten(engine_dir: Path) -> int:
    """How many tokens. Nothing may have the directory open. Raises OSError."""
    return sum(repair_table(logs.parent) for logs in engine_dir.glob(f"store/*/*/{LOGS}"))


def repair_table(table: Path) -> int:
    logs = sorted((table / LOGS).iterdir(), key=number)
    if not logs:
        return 0
    held = blocks_of(entry.name for entry in table.iterdir() if entry.is_dir())
    unwritten = [
        (part, block) for block, part in remembered(logs).items() if not is_held(part, held)
    ]
    if unwritten:
        with logs[-1].open("a") as log:
            log.writelines(f"{DROPPED}\t{part}\t{block}\n" for part, block in unwritten)
            log.flush()
            os.fsync(log.fileno())
    return len(unwritten)


def number(log: Path) -> int:
    found = LOG.fullmatch(log.name)
    return int(found[1]) if found else -1


def remembered(logs: Iterable[Path]) -> dict[str, str]:
    """Block id to part. The last line may be cut short by a kill: it is then no entry."""
    parts: dict[str, str] = {}
    for log in logs:
        for line in log.read_text().splitlines():
            fields = line.split("\t")
            if len(fields) != len(("operation", "part", "block")):
                continue
            operation, part, block = fields
            if operation == ADDED:
                parts[block] = part
            else:
                parts.pop(block, None)
    return parts


def blocks_of(names: Iterable[str]) -> Blocks:
    held: Blocks = {}
    for name in names:
        if found := PART.fullmatch(name):
            held.setdefault(found["partition"], []).append(
                (int(found["first"]), int(found["last"]))
            )
    return held


def is_held(part: str, held: Blocks) -> bool:
    """A name that is not understood is left alone."""
    found = PART.fullmatch(part)
    if found is None:
        return True
    block = int(found["first"])
    return any(first <= block <= last for first, last in held.get(found["partition"], ()))
