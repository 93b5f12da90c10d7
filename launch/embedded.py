"""The embedded set: its processes, where they listen, and when each is ready."""

import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from collector.errors import CollectorError, InvalidSetting
from collector.settings import PREFIX, Settings, host_port, shown
from launch.supervisor import ChildFailed, ChildSpec, Supervisor
from migrations.clickhouse import migrate_clickhouse
from migrations.retention import keep
from migrations.rules import migrate_rules

EMBEDDED_ADDRESSES = (
    "http",
    "grpc",
    "dashboard",
    "worker_http",
    "beat_http",
    "store",
    "store_http",
    "valkey",
)


def free_ports(settings: Settings, data_dir: Path) -> Settings:
    """The same settings on ports that are free now, with everything embedded in `data_dir`."""
    probes = {name: socket.create_server(("127.0.0.1", 0)) for name in EMBEDDED_ADDRESSES}
    moved: dict[str, Any] = {
        name: f"127.0.0.1:{probe.getsockname()[1]}" for name, probe in probes.items()
    }
    for probe in probes.values():
        probe.close()
    urls = (
        "clickhouse_url",
        "clickhouse_read_url",
        "rules_url",
        "redis_url",
        "broker_url",
        "collector_url",
    )
    moved |= dict.fromkeys(urls, "")
    return replace(settings, **moved, data_dir=data_dir).derived()


def prepare(settings: Settings, environ: Mapping[str, str]) -> None:
    """Raises InvalidSetting when the data directory or an address cannot be used."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        probe = settings.data_dir / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise InvalidSetting(
            f"the data directory {settings.data_dir} is not writable ({error.strerror}); "
            f"choose another with --data-dir or {PREFIX}DATA_DIR"
        ) from error
    unused = set()
    if not runs_store(environ):
        unused |= {"store", "store_http"}
    if not runs_valkey(environ):
        unused |= {"valkey"}
    for name in EMBEDDED_ADDRESSES:
        if name not in unused:
            refuse_taken(getattr(settings, name), f"{PREFIX}{name.upper()}")


def refuse_taken(address: str, variable: str) -> None:
    """Raises InvalidSetting when something listens at `address` already."""
    host, port = host_port(address)
    try:
        socket.create_server((host, port), reuse_port=False).close()
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise InvalidSetting(
            f"cannot listen at {address} ({why}); set {variable} to another address"
        ) from error


def runs_store(environ: Mapping[str, str]) -> bool:
    """An own ClickHouse is run unless a URL names another."""
    return f"{PREFIX}CLICKHOUSE_URL" not in environ


def runs_valkey(environ: Mapping[str, str]) -> bool:
    """An own Valkey is run unless a URL names another server for counters and broker."""
    return not {f"{PREFIX}REDIS_URL", f"{PREFIX}BROKER_URL"} & set(environ)


def server_specs(settings: Settings, environ: Mapping[str, str]) -> list[ChildSpec]:
    """The embedded servers, as far as no URL names others."""
    specs = []
    if runs_valkey(environ):
        from embedded.valkey import valkey_command

        host, port = host_port(settings.valkey)
        command = valkey_command(settings.data_dir / "valkey", host, port)
        specs.append(ChildSpec("valkey", command, valkey_ready(host, port)))
    if runs_store(environ):
        specs.append(process("store", settings.store_http))
    return specs


def supervise(
    settings: Settings, environ: Mapping[str, str], say: Callable[[str], None]
) -> Supervisor:
    """A supervisor of the embedded set. Raises InvalidSetting when it could not run here."""
    prepare(settings, environ)
    return Supervisor(
        environ={**environ, **settings.to_environ()},
        log_dir=settings.data_dir / "logs",
        say=say,
    )


def start(supervisor: Supervisor, settings: Settings, environ: Mapping[str, str]) -> None:
    """Servers first, then the tables, then what uses them. Raises ChildFailed."""
    supervisor.add(server_specs(settings, environ))
    try:
        migrate_rules(settings.rules_url)
        migrate_clickhouse(settings.clickhouse_url, cluster=settings.clickhouse_cluster)
        keep(settings.clickhouse_url, settings)
    except CollectorError as error:
        supervisor.stop()
        raise ChildFailed(f"cannot make the tables: {error}") from error
    supervisor.say("the tables are up to date")
    supervisor.add(
        [
            process("collector", settings.http),
            replace(process("worker", settings.worker_http), stuck=stuck(settings.worker_http)),
            process("beat", settings.beat_http),
            process("dashboard", settings.dashboard),
        ]
    )


def process(name: str, address: str) -> ChildSpec:
    return ChildSpec(name, [sys.executable, "-m", "cli", name], http_ready(address))


def http_ready(address: str, path: str = "/readyz") -> Callable[[], str]:
    def ready() -> str:
        try:
            answer = httpx.get(f"http://{address}{path}", timeout=2)
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        return "" if answer.is_success else answer.text.strip()

    return ready


def stuck(address: str) -> Callable[[], str]:
    """Of a worker: it does not answer, or takes no messages while some wait. That ClickHouse or the
    broker is away is no fault of its own."""

    def look() -> str:
        try:
            failing = httpx.get(f"http://{address}/readyz", timeout=2).json()["failing"]
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        said: str = failing.get("consumer", "")
        return said if said.endswith("messages wait") else ""

    return look


def valkey_ready(host: str, port: int) -> Callable[[], str]:
    def ready() -> str:
        try:
            with socket.create_connection((host, port), timeout=1) as client:
                client.sendall(b"PING\r\n")
                answer = client.recv(16)
        except OSError as error:
            return str(error)
        return "" if answer.startswith(b"+PONG") else answer.decode(errors="replace")

    return ready


def described(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """What runs where, for a person."""
    own = " (embedded)"
    http = settings.http
    return [
        "",
        f"  dashboard     http://{settings.dashboard}",
        f"  API           http://{http}/docs",
        f"  gRPC          {settings.grpc} (ext_authz, RLS, ALS, OTLP)",
        f"  HTTP          {http} (/authz, /v1/traces, /api/v1)",
        f"  ClickHouse    {shown(settings.clickhouse_url)}{own if runs_store(environ) else ''}",
        f"  Valkey/Redis  {shown(settings.redis_url)}{own if runs_valkey(environ) else ''}",
        f"  rules         {shown(settings.rules_url)}",
        f"  data          {settings.data_dir.absolute()} (logs in {settings.data_dir / 'logs'})",
        "",
        "  Point an Envoy here: meshmeter sidecar envoy --service NAME",
        "  Ctrl-C stops everything and keeps the data.",
        "",
    ]
