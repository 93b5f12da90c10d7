"""Every setting of every process, from the environment, with type, default, unit and help."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from collector.errors import InvalidSetting

PREFIX = "MESHMETER_"
SECRETS = frozenset({"internal_token"})  # never shown
PASSWORD = re.compile(r"(?<=://)([^/@]*:)[^/@]*(?=@)")


def setting(default: Any, help_: str) -> Any:
    return field(default=default, metadata={"help": help_})


@dataclass(frozen=True)
class Settings:
    """Read once when a process starts; `MESHMETER_` and the upper-case name is its variable."""

    data_dir: Path = setting(Path("data"), "directory of outbox and embedded servers")
    clickhouse_url: str = setting(
        "", "ClickHouse, native protocol; empty: the embedded one at `store`"
    )
    clickhouse_read_url: str = setting(
        "", "the same for questions, as by a user who may only read; empty: `clickhouse_url`"
    )
    clickhouse_cluster: str = setting(
        "", "ClickHouse's cluster that `meshmeter migrate` makes tables on; empty: one server"
    )
    rules_url: str = setting(
        "", "rules database, a SQLAlchemy URL; empty: SQLite in the data directory"
    )
    redis_url: str = setting("", "quota counters; empty: the embedded Valkey")
    broker_url: str = setting("", "Celery's broker; empty: the embedded Valkey")
    http: str = setting("127.0.0.1:4318", "host:port of the collector's HTTP side and API")
    grpc: str = setting("127.0.0.1:4317", "host:port of the collector's gRPC side")
    scribe: str = setting("", "host:port for Zipkin's spans over Scribe; empty: not taken there")
    statsd: str = setting("", "host:port for statsd over UDP; empty: not taken")
    statsd_flush_s: float = setting(
        10.0, "how long statsd's lines are added up before they are a report, s"
    )
    collector_url: str = setting("", "where workers reach this collector; empty: made from `http`")
    dashboard: str = setting("127.0.0.1:8050", "host:port of the dashboard")
    worker_http: str = setting("127.0.0.1:4321", "host:port of the worker's health and metrics")
    beat_http: str = setting("127.0.0.1:4322", "host:port of beat's health and metrics")
    store: str = setting("127.0.0.1:19000", "host:port of the embedded ClickHouse")
    store_http: str = setting(
        "127.0.0.1:4323", "host:port of the embedded ClickHouse's health and metrics"
    )
    valkey: str = setting("127.0.0.1:16379", "host:port of the embedded Valkey")
    internal_token: str = setting(
        "", "secret between collectors and workers; empty: the internal paths answer loopback only"
    )
    log_level: str = setting("INFO", "DEBUG, INFO, WARNING or ERROR")
    max_body_bytes: int = setting(16 * 1024 * 1024, "largest report accepted, decompressed, bytes")
    memory_soft_bytes: int = setting(
        0, "memory of a collector above which reports wait, bytes; 0: 3/4 of the cgroup or machine"
    )
    connections_per_address: int = setting(
        1000, "connections taken from one address over HTTP and gRPC; 0: any number"
    )
    connections_trusted: str = setting(
        "127.0.0.0/8,::1", "networks of which they are not counted, by comma: this host, proxies"
    )
    outbox_max_bytes: int = setting(10 * 1024**3, "largest outbox on disk, bytes")
    max_services: int = setting(1000, "service names told apart of one sender")
    max_operations: int = setting(1000, "span names told apart of one service")
    keep_spans_days: int = setting(7, "how long `meshmeter migrate` has spans kept, days")
    keep_requests_days: int = setting(7, "the same of access logs and reports")
    keep_logs_days: int = setting(7, "the same of log records")
    keep_metrics_days: int = setting(30, "the same of metric points")
    keep_decisions_days: int = setting(30, "the same of decisions")
    keep_dead_letters_days: int = setting(30, "the same of what could not be stored")
    keep_rollups_days: int = setting(400, "the same of what each hour came to; at least 30")
    rls_deadline_s: float = setting(0.008, "longest wait for the counters in a rate limit check, s")
    check_deadline_s: float = setting(0.025, "longest wait for the counters in other checks, s")
    allow_sample: float = setting(0.01, "share of allowed decisions recorded; denials always are")
    own_services: str = setting(
        "",
        "destination.service of sidecars before meshmeter, by comma: no rule is asked about them",
    )
    lists_networks: str = setting(
        "", "networks that lists may be fetched from besides public addresses, by comma"
    )
    lists_dir: str = setting("", "directory of lists that are files; empty: none may be")
    rules_poll_s: float = setting(0.5, "how often a collector looks for changed rules, s")
    rules_idle_s: float = setting(
        300.0, "how long a rule matches nothing before its status says why, s"
    )
    store_memory_bytes: int = setting(2 * 1024**3, "memory cap of the embedded ClickHouse, bytes")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Raises InvalidSetting, naming the variable."""
        known = {PREFIX + entry.name.upper(): entry for entry in fields(cls)}
        values: dict[str, Any] = {}
        for name, entry in known.items():
            if name not in environ:
                continue
            kind: Any = type(entry.default)
            try:
                values[entry.name] = kind(environ[name])
            except ValueError as error:
                raise InvalidSetting(f"{name}={environ[name]!r} is not {kind.__name__}") from error
        return cls(**values).derived()

    def derived(self) -> Self:
        """The same with every empty URL made from the addresses and the data directory."""
        made: dict[str, Any] = {
            "clickhouse_url": f"clickhouse://{self.store}/meshmeter",
            "rules_url": f"sqlite:///{self.data_dir.absolute() / 'rules.sqlite'}",
            "redis_url": f"redis://{self.valkey}/0",
            "broker_url": f"redis://{self.valkey}/1",
            "collector_url": f"http://{self.http}",
        }
        found = replace(self, **{name: getattr(self, name) or url for name, url in made.items()})
        return replace(found, clickhouse_read_url=found.clickhouse_read_url or found.clickhouse_url)

    def to_environ(self) -> dict[str, str]:
        """What `from_environ` would read these from: handed to child processes."""
        return {
            PREFIX + entry.name.upper(): str(getattr(self, entry.name)) for entry in fields(self)
        }


def host_port(address: str) -> tuple[str, int]:
    """`host:port` in two. Raises InvalidSetting."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise InvalidSetting(f"{address!r} is not host:port")
    return host.strip("[]"), int(port)


def shown(url: str) -> str:
    """A URL as it may be printed: without its password."""
    return PASSWORD.sub(r"\1***", url)
