"""What could not be stored, as the API tells it: groups in quarantine and dead letters."""

import time
from base64 import b64decode, b64encode
from typing import Any

from collector.decoders import decode_group
from collector.decoders.limits import Reason
from collector.ingest import store_table
from collector.model import Report, Signal, Taken
from collector.outbox import DeadGroup, Outbox
from collector.store.client import Store
from collector.store.queries.dead_letters import NEWEST, Letter, dead_letter, dead_letters
from collector.times import rfc3339

CUT = "not all of it is kept, or not what it came in"
SHOWN_BYTES = 64 * 1024  # of one body


class Dead:
    """Groups are this collector's; letters are everybody's. Each call waits: call it in a thread.

    Raises Overloaded when the outbox is broken, StoreDown and StoreError of letters.
    """

    def __init__(self, outbox: Outbox, reading: Store, writing: Store) -> None:
        self._outbox = outbox
        self._store = reading
        self._writing = writing

    def groups(self, after: int, limit: int) -> list[dict[str, Any]]:
        return [group_told(group) for group in self._outbox.dead_groups(after, limit)]

    def group(self, group: int, after: int, limit: int) -> dict[str, Any] | None:
        """One of them, and its reports from the one numbered `after` on; None: it is not dead."""
        found = self._outbox.dead_groups(group - 1, 1)
        if not found or found[0].group != group:
            return None
        reports = self._outbox.read_group(group)[after : after + limit]
        told = [report_told(after + index, report) for index, report in enumerate(reports)]
        return group_told(found[0]) | {"contents": told}

    def replay(self, group: int) -> bool:
        """False when it is not in quarantine."""
        return self._outbox.replay(group)

    def discard(self, group: int) -> bool:
        """False when it is not in quarantine."""
        return self._outbox.discard(group)

    def letters(
        self,
        start_ns: int,
        end_ns: int,
        *,
        signal: str,
        reason: str,
        client: str,
        limit: int,
        before: tuple[int, str] | None,
    ) -> list[dict[str, Any]]:
        found = dead_letters(
            self._store,
            start_ns,
            end_ns,
            signal=signal,
            reason=reason,
            client=client,
            limit=limit,
            before=before or NEWEST,
        )
        return [letter_told(letter) for letter in found]

    def letter(self, time_ns: int, hash_: str) -> dict[str, Any] | None:
        found = dead_letter(self._store, time_ns, hash_)
        return letter_told(found) if found else None

    def replay_letter(self, time_ns: int, hash_: str) -> dict[str, Any] | None:
        """Stores its item, unless it is refused again; None: there is no such letter.

        However often, and by whichever collector: its rows are counted before they are inserted,
        under tokens of the letter's own.
        """
        letter = dead_letter(self._store, time_ns, hash_)
        if letter is None:
            return None
        name = f"{letter.time_ns}-{letter.hash}"
        if not letter.replayable:
            return {"id": name, "stored": False, "reason": CUT}
        group = int(letter.hash[:16], 16)
        decoded = decode_group([report_of(letter)], group)
        if decoded.dead:
            again = decoded.dead[0]
            return {"id": name, "stored": False, "reason": f"{again.reason}: {again.detail}"}
        taken = Taken([], attempt=2, replayed=True)
        for table in sorted(decoded.tables):
            store_table(self._writing, f"dead:{name}", table, decoded.tables[table], taken)
        return {"id": name, "stored": True, "reason": ""}


def report_of(letter: Letter) -> Report:
    """The item as it would have come alone; what was of the future then, as if it came now."""
    body = b"".join(map(b64decode, (letter.head, letter.item, letter.tail)))
    early = letter.reason == Reason.IN_THE_FUTURE
    received_ns = max(letter.time_ns, time.time_ns()) if early else letter.time_ns
    return Report(Signal(letter.signal), body, received_ns, letter.client)


def group_told(group: DeadGroup) -> dict[str, Any]:
    return {
        "group": group.group,
        "reports": group.reports,
        "bytes": group.bytes,
        "attempts": group.attempts,
        "reason": group.reason,
        "since": rfc3339(round(group.since_s * 1e9)),
        "received": rfc3339(group.received_ns),
        "parts": [part._asdict() for part in group.parts],
    }


def report_told(number: int, report: Report) -> dict[str, Any]:
    return {
        "number": number,
        "signal": report.signal.value,
        "client": report.identity,
        "received": rfc3339(report.received_ns),
        "items": report.items,
        "bytes": len(report.body),
        "body": b64encode(report.body[:SHOWN_BYTES]).decode(),
    }


def letter_told(letter: Letter) -> dict[str, Any]:
    return {
        "id": f"{letter.time_ns}-{letter.hash}",
        "time": rfc3339(letter.time_ns),
        "signal": letter.signal,
        "reason": letter.reason,
        "detail": letter.detail,
        "client": letter.client,
        "copies": letter.copies,
        "replayable": bool(letter.replayable),
        "item": letter.item,
    }
