"""A real Envoy in front of an application while its collector's outbox is full."""

from pathlib import Path

import pytest

from collector.sidecar.sidecar import Address, Sidecar
from collector.store.client import Store
from collector.transport.http import RawAnswer
from tests import plain_http
from tests.conftest import free_port
from tests.pipeline.processes import running as process
from tests.pipeline.test_pressure import ENVOY, Pressure, pressure
from tests.sidecar.envoy_parts import port_of
from tests.sidecar.envoys import running
from tests.transport.serving import serving
from tests.waiting import eventually

__all__ = ["pressure"]

TAKEN, HELD = 20, 150  # requests
LOGS = "access_logs.grpc_access_log"


def local(address: str | int) -> Address:
    return Address("127.0.0.1", address if isinstance(address, int) else port_of(address))


class Mesh:
    """One sidecar, called from outside."""

    def __init__(self, pressure: Pressure, app: str) -> None:
        self.sidecar = Sidecar(
            service="cart.shop",
            node="cart-1.shop",
            collector_grpc=local(pressure.collector.settings.grpc),
            collector_http=local(pressure.collector.settings.http),
            admin=local(free_port()),
            inbound=local(free_port()),
            app=local(app),
        )

    def request(self, *paths: str) -> None:
        for path in paths:
            plain_http.get(f"http://{self.sidecar.inbound}{path}", timeout=20).raise_for_status()

    def logs(self, name: str) -> int:
        """A counter of Envoy's own."""
        text = plain_http.get(f"http://{self.sidecar.admin}/stats?filter={LOGS}").text
        found = dict(line.rsplit(": ", 1) for line in text.splitlines())
        return int(found.get(f"{LOGS}.{name}", 0))


@pytest.fixture
def app():
    with serving({}, {"/*": lambda _request: RawAnswer(200)}) as server:
        yield server.address


def test_envoy_serves_all_the_while_and_no_log_entry_is_lost(
    pressure: Pressure, app: str, store_url: str, tmp_path: Path
) -> None:
    mesh = Mesh(pressure, app)
    counters = pressure.collector.counters()
    with running(mesh.sidecar, tmp_path):
        # Others are refused from 70 % on, what Envoy sends is taken.
        assert pressure.fill().status_code == 503
        first = [f"/first/{number}" for number in range(TAKEN)]
        mesh.request(*first)
        eventually(lambda: counters.moved("frontend_items", protocol="als") == TAKEN)
        eventually(lambda: counters.moved("frontend_items", protocol="otlp_grpc") >= TAKEN)

        # From 90 % on nothing is, its requests are answered, and its logs wait.
        pressure.fill(**ENVOY)
        waited = {name: pressure.waits(name) for name in ("als", "otlp_grpc")}
        held = [f"/held/{number}/{'x' * 1000}" for number in range(HELD)]
        mesh.request(*held)
        for name, before in waited.items():
            eventually(lambda name=name, before=before: pressure.waits(name) > before)
        assert counters.moved("frontend_items", protocol="als") == TAKEN
        assert pressure.outbox()["pressure"] == "hard"

        with process("worker", pressure.collector.settings, tmp_path), Store(store_url) as store:

            def paths() -> list[str]:
                return [path for (path,) in store.rows("SELECT path FROM requests ORDER BY path")]

            eventually(lambda: paths() == sorted([*first, *held]), timeout_s=60)
            spans = "SELECT count() >= {}, count() = uniqExact(trace_id, span_id) FROM spans"
            one = "SELECT countIf(service = 'cart.shop') FROM spans"
            assert store.rows(one)[0][0] >= TAKEN
            assert store.rows(spans.format(TAKEN)) == [(1, 1)]
        assert (mesh.logs("logs_written"), mesh.logs("logs_dropped")) == (TAKEN + HELD, 0)
