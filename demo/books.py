"""Reading the three books of a demo: the Envoys', the collector's, the store's."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import httpx

from collector.errors import StoreDown
from collector.sidecar.sidecar import Sidecar
from collector.store.client import Store
from demo.counters import all_counters
from demo.reconcile import Accounts
from demo.stored import stored

CHECKS = "meshmeter_checks_total"
PENDING = ("meshmeter_outbox_pending_requests", "meshmeter_outbox_pending_groups")
QUIET_S = 3.0  # Envoys flush every second, the collector's batches are quicker
LONGEST_DRAIN_S = 60.0


@dataclass
class Books:
    """`before` is what was there when the demo began; only what came since then counts."""

    sidecars: Sequence[Sidecar]
    collector_url: str
    store: Store
    client: httpx.Client
    before: Accounts | None = None

    def accounts(self) -> Accounts:
        """Raises httpx.HTTPError, StoreDown."""
        now = Accounts(
            envoy=all_counters(self.sidecars, self.client),
            checks=int(self.collector_counts()[CHECKS]),
            stored=stored(self.store),
        )
        if self.before is None:
            return now
        return replace(
            now,
            checks=now.checks - self.before.checks,
            stored=now.stored - self.before.stored,
        )

    def pending(self) -> int:
        """Reports that the collector has accepted and no worker has stored."""
        counts = self.collector_counts()
        return sum(int(counts[name]) for name in PENDING)

    def collector_counts(self) -> dict[str, float]:
        """The collector's own numbers, summed over their labels."""
        found = self.client.get(f"{self.collector_url}/metrics")
        found.raise_for_status()
        return totals(found.text, (CHECKS, *PENDING))

    def settled(self, stopped: Callable[[], bool]) -> bool:
        """Waits until nothing is under way and nothing has changed for `QUIET_S`."""
        deadline = time.monotonic() + LONGEST_DRAIN_S
        last, since = self.now(), time.monotonic()
        while time.monotonic() < deadline and not stopped():
            time.sleep(0.25)
            now = self.now()
            if now is None or now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since >= QUIET_S and quiet(now):
                return True
        return False

    def now(self) -> tuple[Accounts, int] | None:
        try:
            return self.accounts(), self.pending()
        except (httpx.HTTPError, StoreDown):
            return None


def totals(metrics: str, names: Sequence[str]) -> dict[str, float]:
    """Of OpenMetrics text, the sum of each named sample over its labels; 0 when there is none."""
    found = dict.fromkeys(names, 0.0)
    for line in metrics.splitlines():
        labelled, _, value = line.rpartition(" ")
        name = labelled.partition("{")[0]
        if name in found:
            found[name] += float(value)
    return found


def quiet(now: tuple[Accounts, int]) -> bool:
    accounts, pending = now
    return pending == 0 and accounts.envoy.logs_held == 0
