"""Reports for tests of the pipeline."""

import asyncio
import json
import time
from dataclasses import replace

from collector.model import Report, Signal
from collector.outbox import Outbox, Terms

SECOND_NS = 1_000_000_000


def report(body: bytes, identity: str = "a-1.default", received_ns: int | None = None) -> Report:
    return Report(Signal.DECISIONS, body, received_ns or time.time_ns(), identity)


def decisions(*ids: str) -> Report:
    """A report of decisions that a worker can store."""
    now_ns = time.time_ns()
    lines = [
        json.dumps({"time": now_ns, "id": name, "allowed": 1, "path": "/" + "x" * 200}).encode()
        for name in ids
    ]
    return replace(report(b"\n".join(lines), received_ns=now_ns), items=len(ids))


def append(outbox: Outbox, *reports: Report) -> int:
    return asyncio.run(outbox.append(reports))


def terms(window: int = 16, group_bytes: int = 4 * 1024 * 1024) -> Terms:
    return Terms(window, group_bytes, max_attempts=8, lease_s=lambda _sends: 10.0)


def lease(outbox: Outbox, window: int = 16) -> list[int]:
    """Ids of the frozen groups handed out now."""
    return [group.id for group in outbox.hand_out(terms(window), limit=window, ripe=False)[0]]
