"""The command tree. A command's imports happen when it runs, so `--help` is quick."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.commands import (
    bench,
    checking,
    collectors,
    dead,
    demo,
    explain,
    importing,
    lists,
    pipeline,
    quotas,
    rules,
    settings,
    sidecar,
    up,
    versions,
)
from cli.processes import exit_code, process_settings
from collector.errors import InvalidSetting

app = typer.Typer(
    name="meshmeter",
    help="Observability, policy and quota backend for service meshes.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up")(up.up)
app.command("demo")(demo.demo)
app.add_typer(sidecar.app, name="sidecar")
rules.app.command("import")(importing.import_rules)
rules.app.command("export")(importing.export_rules)
rules.app.command("explain")(explain.explain)
rules.app.command("status")(explain.status)
rules.app.command("agreement")(explain.agreement)
rules.app.command("shadow")(versions.shadow)
rules.app.command("versions")(versions.versions)
rules.app.command("diff")(versions.diff)
rules.app.command("rollback")(versions.rollback)
rules.app.command("audit")(versions.audit)
app.add_typer(rules.app, name="rules")
app.add_typer(quotas.app, name="quotas")
app.command("check")(checking.check)
app.add_typer(lists.app, name="lists")
app.command("decision")(explain.decision)
app.command("collectors")(collectors.collectors)
app.command("reconcile")(pipeline.reconcile)
app.add_typer(dead.app, name="dead")
app.command("replay-dead")(dead.replay_dead)
app.add_typer(bench.app, name="bench")
app.command("settings")(settings.settings)


@app.command()
def collector() -> None:
    """Run one collector: checks, reports and the API."""
    from collector.app import run_collector

    exit_code(run_collector(process_settings("collector")))


@app.command()
def worker() -> None:
    """Run one Celery worker: from the collectors' outboxes into ClickHouse."""
    from collector.worker import run_worker

    exit_code(run_worker(process_settings("worker")))


@app.command()
def beat() -> None:
    """Run Celery beat: the heartbeat that shows the workers alive."""
    from collector.worker import run_beat

    exit_code(run_beat(process_settings("beat")))


@app.command()
def dashboard() -> None:
    """Run the dashboard."""
    from dashboard.app import run

    exit_code(run(process_settings("dashboard")))


@app.command()
def store(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="where the tables are kept; default: MESHMETER_DATA_DIR/store"),
    ] = None,
) -> None:
    """Run the embedded ClickHouse."""
    from embedded.store.main import run

    found = process_settings("store")
    exit_code(
        run(
            data_dir=data_dir or found.data_dir / "store",
            listen=found.store,
            health=found.store_http,
            memory_bytes=found.store_memory_bytes,
        )
    )


@app.command()
def migrate(
    printed: Annotated[
        bool,
        typer.Option("--print", help="only print what a new ClickHouse database would be made by"),
    ] = False,
) -> None:
    """Bring the rules database and ClickHouse to this version's tables."""
    from migrations.__main__ import run, show

    settings = process_settings("migrate")
    exit_code(show(settings) if printed else run(settings))


@app.command()
def health(
    address: Annotated[str, typer.Argument(help="host:port of any meshmeter process")],
) -> None:
    """Ask a process whether it is ready; exit code 1 when not."""
    from launch.embedded import http_ready

    state = http_ready(address)()
    print(state or "ready")
    exit_code(1 if state else 0)


def main() -> None:
    try:
        app(prog_name="meshmeter")
    except InvalidSetting as error:
        print(f"meshmeter: {error}", file=sys.stderr)
        sys.exit(2)
