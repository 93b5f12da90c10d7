"""What was decided: looked up among the decisions in memory, then among those stored."""

from typing import Any

from collector.decisions.decided import Cell, Page, Place, Sought, StoredDecision
from collector.decisions.recent import RecentDecisions
from collector.store.client import Store
from collector.store.queries.agreement import agreement
from collector.store.queries.decision import decision_by_id
from collector.store.queries.decisions import decisions, total
from policy.results import Decision

NOTHING_BESIDE: dict[str, Any] = {
    name: () for name in StoredDecision._fields if name.startswith("beside_")
}


class DecisionHistory:
    """All but `in_memory` wait for the store, and are to be called in a thread."""

    def __init__(self, store: Store, recent: RecentDecisions) -> None:
        self._store = store
        self._recent = recent

    def in_memory(self, decision_id: str) -> StoredDecision | Decision | None:
        """Called on the loop of the checks. A Decision is one that was not recorded: nothing is
        known of the request."""
        record = self._recent.record(decision_id)
        if record is None:
            return self._recent.unrecorded(decision_id)
        return StoredDecision(time_ns=record.pop("time"), **NOTHING_BESIDE | record)

    def stored(self, decision_id: str) -> StoredDecision | None:
        """Raises StoreDown."""
        return decision_by_id(self._store, decision_id)

    def search(self, sought: Sought, limit: int, before: Place | None = None) -> Page:
        """The newest come first. Raises StoreDown."""
        found = decisions(self._store, sought, limit + 1, before)
        listed = found[:limit]
        after = (listed[-1].time_ns, listed[-1].id) if len(found) > limit else None
        return Page(listed, total(self._store, sought), after)

    def agreement(self, rule: str, version: int, start_ns: int, end_ns: int) -> list[Cell]:
        """Raises StoreDown."""
        return agreement(self._store, rule, version, start_ns, end_ns)
