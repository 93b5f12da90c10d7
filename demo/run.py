"""The demo: the embedded set, the shop behind its Envoys, one quota, and customers."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from collector.errors import StoreDown
from collector.settings import Settings, host_port
from collector.sidecar.sidecar import Address, Sidecar
from collector.store.client import Store
from collector.store.queries.service_graph import service_graph
from demo.books import Books
from demo.plan import planned
from demo.ports import free_ports
from demo.processes import TRAFFIC, shop_specs, traffic_spec
from demo.quota import create, quota_rule
from demo.reconcile import disagreements
from demo.report import report
from demo.topology import CALLERS, MOBILE, SERVICES
from launch.embedded import start
from launch.supervisor import ChildFailed, Supervisor

TOLD_EVERY_S = 5.0


class Interrupted(Exception):
    """Asked to stop before the end."""


@dataclass
class Demo:
    """`start`, then either the supervisor's `watch` or `measure`; `supervisor.stop` ends it."""

    settings: Settings
    environ: Mapping[str, str]
    supervisor: Supervisor
    envoy: Path
    rate: float
    say: Callable[[str], None]

    def start(self) -> list[Sidecar]:
        """Everything but the customers. Raises ChildFailed, httpx.HTTPError."""
        start(self.supervisor, self.settings, self.environ)
        (mobile,) = (caller for caller in CALLERS if caller.name == MOBILE)
        rule = quota_rule(self.rate, mobile.share)
        create(self.settings.collector_url, rule)
        self.say(f"created the quota {rule['name']} through the API")
        grpc, http = (
            Address(*host_port(address)) for address in (self.settings.grpc, self.settings.http)
        )
        sidecars = planned(SERVICES, CALLERS, grpc, http, free_ports())
        self.supervisor.add(shop_specs(sidecars, self.envoy, self.directory))
        return sidecars

    def let_customers_in(self) -> None:
        """Customers come. Raises ChildFailed."""
        self.supervisor.add([traffic_spec(self.directory, self.rate)])
        self.say(f"customers: {self.rate:g} requests a second")

    def let_customers_out(self) -> None:
        """No customer comes any more, and all were answered. Raises ChildFailed."""
        traffic = self.supervisor.children[TRAFFIC]
        traffic.process.terminate()
        try:
            traffic.process.wait(traffic.spec.stop_s)
        except subprocess.TimeoutExpired as error:
            raise ChildFailed("customers wait for answers that do not come") from error

    def measure(self, sidecars: list[Sidecar], seconds: float) -> tuple[dict[str, Any], list[str]]:
        """The report, and what does not agree in it.

        Raises Interrupted, ChildFailed, httpx.HTTPError, CollectorError.
        """
        store = Store(self.settings.clickhouse_url)
        with contextlib.closing(store), httpx.Client(timeout=5) as client:
            books = Books(sidecars, self.settings.collector_url, store, client)
            self.begin_books(books)
            first = FirstEdge(store, time.time_ns())
            self.let_customers_in()
            self.watch_traffic(books, first, seconds)
            self.let_customers_out()
            self.say("customers are gone; waiting until everything is stored")
            settled = books.settled(self.stopped)
            if self.stopped():
                raise Interrupted
            first.look()
            accounts = books.accounts()
            faults = disagreements(accounts) + self.ended()
            if not settled:
                faults.append(f"the pipeline does not come to rest; it holds {books.pending()}")
            edges = service_graph(store, first.begun_ns, time.time_ns())
        return report(accounts, edges, first.seconds), faults

    def ended(self) -> list[str]:
        """Processes that ended by themselves, in a sentence each."""
        codes = {name: child.process.poll() for name, child in self.supervisor.children.items()}
        return [
            f"{name} ended by itself with code {code}"
            for name, code in codes.items()
            if code is not None and (name, code) != (TRAFFIC, 0)
        ]

    def begin_books(self, books: Books) -> None:
        """What an earlier demo left in this data directory is stored first, and not counted."""
        if books.pending():
            books.settled(self.stopped)
        books.before = books.accounts()

    def watch_traffic(self, books: Books, first: "FirstEdge", seconds: float) -> None:
        begun_s = told_s = time.monotonic()
        while (now_s := time.monotonic()) < begun_s + seconds:
            if self.supervisor.stop_event.wait(0.25):
                raise Interrupted
            first.look()
            if now_s - told_s > TOLD_EVERY_S:
                told_s = now_s
                self.tell(books, now_s - begun_s)

    def tell(self, books: Books, since_s: float) -> None:
        accounts = books.accounts()
        self.say(
            f"{since_s:.0f} s: {accounts.envoy.requests} requests at the sidecars, "
            f"{accounts.envoy.denied} denied, {accounts.stored.requests} stored"
        )

    def stopped(self) -> bool:
        return self.supervisor.stop_event.is_set()

    @property
    def directory(self) -> Path:
        return self.settings.data_dir / "demo"


@dataclass
class FirstEdge:
    """Looks, when told to, until the service graph has an edge; `seconds` is how long it took."""

    store: Store
    begun_ns: int
    seconds: float | None = None

    def look(self) -> None:
        if self.seconds is not None:
            return
        with contextlib.suppress(StoreDown):
            now_ns = time.time_ns()
            if service_graph(self.store, self.begun_ns, now_ns, limit=1):
                self.seconds = (time.time_ns() - self.begun_ns) / 1e9
