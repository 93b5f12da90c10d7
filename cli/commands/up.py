"""`meshmeter up`: the whole of it on one machine, in one terminal."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from collector.errors import InvalidSetting
from collector.settings import PREFIX, Settings
from launch.embedded import runs_store, runs_valkey, start, supervise
from launch.supervisor import ChildFailed
from observe import configure_logging


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def up(
    data_dir: Annotated[
        Path | None, typer.Option(help="where everything is kept; default: MESHMETER_DATA_DIR")
    ] = None,
) -> None:
    """Run everything here, with an own ClickHouse and Valkey unless URLs name others."""
    if data_dir is not None:
        os.environ[f"{PREFIX}DATA_DIR"] = str(data_dir)
    settings = Settings.from_environ(os.environ)
    configure_logging("up", settings.log_level)
    supervisor = supervise(settings, os.environ, say)
    stop_on_signals(supervisor.stop_event)
    try:
        start(supervisor, settings)
    except ChildFailed as error:
        raise InvalidSetting(str(error)) from error
    for line in described(settings):
        say(line)
    supervisor.watch()
    say("stopping")
    supervisor.stop()
    say("stopped; the data is kept in " + str(settings.data_dir.absolute()))


def described(settings: Settings) -> list[str]:
    """What runs where, for a person."""
    own = " (embedded)"
    http = settings.http
    return [
        "",
        f"  dashboard     http://{settings.dashboard}",
        f"  API           http://{http}/docs",
        f"  gRPC          {settings.grpc} (ext_authz, RLS, ALS, OTLP)",
        f"  HTTP          {http} (/authz, /v1/traces, /api/v1)",
        f"  ClickHouse    {settings.clickhouse_url}{own if runs_store(os.environ) else ''}",
        f"  Valkey/Redis  {settings.redis_url}{own if runs_valkey(os.environ) else ''}",
        f"  rules         {settings.rules_url}",
        f"  data          {settings.data_dir.absolute()} (logs in {settings.data_dir / 'logs'})",
        "",
        "  Point an Envoy here: meshmeter sidecar envoy --service NAME",
        "  Ctrl-C stops everything and keeps the data.",
        "",
    ]


def stop_on_signals(event: threading.Event) -> None:
    """Ctrl-C and SIGTERM ask for a clean stop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: event.set())
