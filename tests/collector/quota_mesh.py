"""Real Envoys that count by themselves, under steady load, with a real collector behind them."""

import http.client
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from collector.sidecar.sidecar import Address, CheckProtocol, FailureMode, Sidecar
from collector.transport.http import RawAnswer, RawRequest
from tests import plain_http
from tests.bad_input.live import LiveCollector
from tests.conftest import free_port
from tests.sidecar.envoys import running
from tests.transport.serving import serving
from tests.waiting import eventually

OFFERED = 45.0  # requests a second, to each Envoy
REPORT_S = 5.0


def answer(_request: RawRequest) -> RawAnswer:
    return RawAnswer(200, [], b"")


class Load:
    """Asks one Envoy steadily, on one connection, and remembers when it was let through."""

    def __init__(self, address: Address, headers: dict[str, str]) -> None:
        self.passed: list[float] = []
        self.denied: list[float] = []
        self.others: list[int] = []  # statuses
        self._address = address
        self._headers = headers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._address.host, self._address.port)
        next_s = time.monotonic()
        while not self._stop.is_set():
            connection.request("GET", "/", headers=self._headers)
            response = connection.getresponse()
            response.read()
            now_s = time.monotonic()
            if response.status == 200:
                self.passed.append(now_s)
            elif response.status == 429:
                self.denied.append(now_s)
            else:
                self.others.append(response.status)
            next_s = max(next_s + 1 / OFFERED, now_s - 0.1)
            self._stop.wait(max(next_s - now_s, 0.0))
        connection.close()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


class Envoy:
    def __init__(self, load: Load, owned: ExitStack) -> None:
        self.load = load
        self._owned = owned

    def leave(self) -> None:
        """What a load finds when its Envoy is gone is not looked at."""
        self.load.stop()
        self._owned.close()

    def passed(self, since_s: float, until_s: float = math.inf) -> int:
        return sum(since_s <= time_s < until_s for time_s in self.load.passed)


class QuotaMesh:
    def __init__(self, collector: LiveCollector, app: Address, directory: Path) -> None:
        self.collector = collector
        self.counters = collector.counters()  # before anything was counted
        self.envoys: list[Envoy] = []
        self._app = app
        self._directory = directory
        self._count = 0

    def join(self) -> None:
        self.envoys.append(self.envoy("cart.shop", {}))

    def envoy(self, service: str, headers: dict[str, str]) -> Envoy:
        """Another one, before the same application; it is the caller's."""
        self._count += 1
        inbound = Address("127.0.0.1", free_port())
        sidecar = Sidecar(
            service=service,
            node=f"sidecar-{self._count}.shop",
            collector_grpc=local(self.collector.settings.grpc),
            collector_http=local(self.collector.settings.http),
            admin=Address("127.0.0.1", free_port()),
            inbound=inbound,
            app=self._app,
            check=CheckProtocol.RLQS,
            failure_mode=FailureMode.OPEN,
            descriptors=(("user", "x-user"),),
        )
        owned = ExitStack()
        owned.enter_context(running(sidecar, self._directory))
        return Envoy(Load(inbound, headers), owned)

    def leave(self) -> None:
        for envoy in self.envoys:
            envoy.leave()

    def rule(self, **document: Any) -> None:
        made = plain_http.post(f"{self.collector.url}/api/v1/rules", json=document)
        assert made.status_code == 201, made.text

    def change(self, name: str, **document: Any) -> None:
        changed = plain_http.patch(f"{self.collector.url}/api/v1/rules/{name}", json=document)
        assert changed.is_success, changed.text

    def remove(self, name: str) -> None:
        assert plain_http.delete(f"{self.collector.url}/api/v1/rules/{name}").is_success

    def passed(self, since_s: float, until_s: float = math.inf) -> list[int]:
        """By Envoy."""
        return [envoy.passed(since_s, until_s) for envoy in self.envoys]

    def excess(self, rate: float, since_s: float = 0.0) -> float:
        """The most that passed beyond the rate within any time."""
        return excess(
            [time_s for envoy in self.envoys for time_s in envoy.load.passed if time_s >= since_s],
            rate,
        )


def excess(times_s: Sequence[float], rate: float) -> float:
    worst, lowest = 0.0, math.inf
    for count, time_s in enumerate(sorted(times_s)):
        lowest = min(lowest, count - rate * time_s)
        worst = max(worst, count + 1 - rate * time_s - lowest)
    return worst


def after(seconds: float) -> float:
    """The time when so many seconds have gone by."""
    start_s = time.monotonic()
    eventually(lambda: time.monotonic() - start_s >= seconds, timeout_s=seconds + 10)
    return time.monotonic()


def local(address: str) -> Address:
    host, _, port = address.rpartition(":")
    return Address(host, int(port))


@contextmanager
def quota_mesh(directory: Path, valkey_url: str) -> Iterator[QuotaMesh]:
    collector = LiveCollector(directory, valkey_url)
    with serving({}, {"/*": answer}) as app:
        mesh = QuotaMesh(collector, local(app.address), directory)
        try:
            yield mesh
        finally:
            mesh.leave()
            collector.kill()
