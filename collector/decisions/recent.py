"""The decisions of the last moments, in memory: one can be looked up before it is stored.

Of allows that were not sampled only the newest are here, and are nowhere else.
"""

import json
from collections import OrderedDict, deque
from typing import Any

from policy.results import Decision

MAX_RECORDS = 4096
MAX_BYTES = 8 * 1024 * 1024
MAX_UNRECORDED = 1024


class RecentDecisions:
    """Used on one event loop, that of the checks."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, bytes] = OrderedDict()  # by id, the oldest first
        self._bytes = 0
        # A deque drops its oldest by itself, at next to no cost to the check that adds one.
        self._unrecorded: deque[Decision] = deque(maxlen=MAX_UNRECORDED)
        self.passed = self._unrecorded.append

    def keep(self, decision_id: str, line: bytes) -> None:
        """A record, as it goes to the reporter."""
        self._records[decision_id] = line
        self._bytes += len(line)
        while len(self._records) > MAX_RECORDS or self._bytes > MAX_BYTES:
            _, oldest = self._records.popitem(last=False)
            self._bytes -= len(oldest)

    def record(self, decision_id: str) -> dict[str, Any] | None:
        """The keys are the columns of table `decisions`."""
        line = self._records.get(decision_id)
        found: dict[str, Any] | None = json.loads(line) if line else None
        return found

    def unrecorded(self, decision_id: str) -> Decision | None:
        return next((each for each in self._unrecorded if each.id == decision_id), None)
