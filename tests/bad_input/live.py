"""A collector process of its own, to be maltreated. No worker and no ClickHouse are behind it,
unless URLs name some."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import httpx

from collector.frontends import otlp
from collector.settings import Settings
from migrations.rules import migrate_rules
from tests import plain_http
from tests.collector.messages import rejected, span, traces
from tests.conftest import free_port
from tests.counters import Counters
from tests.waiting import eventually

BROKER_DATABASE = 9  # no worker listens there
PROTOBUF = {"content-type": "application/x-protobuf"}
KIB = 1024
MIB = 1024 * KIB


class LiveCollector:
    def __init__(
        self, data_dir: Path, valkey_url: str, rules_url: str = "", **settings: Any
    ) -> None:
        elsewhere: dict[str, Any] = {
            "clickhouse_url": f"clickhouse://127.0.0.1:{free_port()}/nobody",
            "broker_url": f"{valkey_url.rpartition('/')[0]}/{BROKER_DATABASE}",
        }
        http = f"127.0.0.1:{free_port()}"
        self.settings = Settings(
            data_dir=data_dir,
            rules_url=rules_url or f"sqlite:///{data_dir}/rules.sqlite",
            redis_url=valkey_url,
            http=http,
            grpc=f"127.0.0.1:{free_port()}",
            scribe=f"127.0.0.1:{free_port()}",
            statsd=f"127.0.0.1:{free_port()}",
            statsd_flush_s=0.2,
            collector_url=f"http://{http}",
            **(elsewhere | settings),
        )
        self.url = f"http://{self.settings.http}"
        self.log = data_dir / "collector.log"
        self.good: list[bytes] = []  # bodies acknowledged
        migrate_rules(self.settings.rules_url)
        self.start()

    def start(self) -> None:
        """Also again, after a kill: on the same ports, with the same data."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cli", "collector"],
                env=os.environ | self.settings.to_environ(),
                stderr=log,
            )
        eventually(self.ready, timeout_s=60)
        self.channel = grpc.insecure_channel(self.settings.grpc)

    def ready(self) -> bool:
        assert self._process.poll() is None, "the collector ended"
        try:
            return plain_http.get(f"{self.url}/readyz").is_success
        except httpx.TransportError:
            return False

    def counters(self) -> Counters:
        return Counters(lambda: plain_http.get(f"{self.url}/metrics").text)

    def post(self, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        return plain_http.post(
            f"{self.url}/v1/traces", content=body, headers=PROTOBUF | (headers or {})
        )

    def call(self, method: str, body: bytes, compression: grpc.Compression | None = None) -> bytes:
        answer: bytes = self.channel.unary_unary(method)(body, timeout=60, compression=compression)
        return answer

    def send_good(self) -> None:
        """One span over each transport, acknowledged whole."""
        over_http, over_grpc = traces(span()), traces(span())
        assert rejected(self.post(over_http).raise_for_status().content) == (0, "")
        assert rejected(self.call(otlp.PATH, over_grpc)) == (0, "")
        self.good += [over_http, over_grpc]

    def connect(self, address: str = "", source: str = "127.0.0.1") -> socket.socket:
        """To its HTTP side, unless another address of it is named; `source`: where it is from."""
        host, _, port = (address or self.settings.http).rpartition(":")
        return socket.create_connection((host, int(port)), 20, (source, 0))

    def reset_peak(self) -> int:
        """Bytes resident now, from which `peak` is counted anew."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")
        return self._memory("VmRSS")

    def peak(self) -> int:
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        return int(fields[name].split()[0]) * KIB

    def kill(self) -> None:
        self.channel.close()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
