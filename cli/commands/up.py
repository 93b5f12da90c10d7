"""`meshmeter up`: the whole of it on one machine, in one terminal."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.processes import say
from collector.errors import InvalidSetting
from collector.settings import PREFIX, Settings


def up(
    data_dir: Annotated[
        Path | None, typer.Option(help="where everything is kept; default: MESHMETER_DATA_DIR")
    ] = None,
) -> None:
    """Run everything here, with an own ClickHouse and Valkey unless URLs name others."""
    from launch.embedded import described, start, supervise
    from launch.signals import stop_on_signals
    from launch.supervisor import ChildFailed
    from observe import configure_logging

    if data_dir is not None:
        os.environ[f"{PREFIX}DATA_DIR"] = str(data_dir)
    settings = Settings.from_environ(os.environ)
    configure_logging("up", "WARNING")
    supervisor = supervise(settings, os.environ, say)
    stop_on_signals(supervisor.stop_event)
    try:
        start(supervisor, settings, os.environ)
    except ChildFailed as error:
        raise InvalidSetting(str(error)) from error
    for line in described(settings, os.environ):
        say(line)
    supervisor.watch()
    say("stopping")
    supervisor.stop()
    say("stopped; the data is kept in " + str(settings.data_dir.absolute()))
