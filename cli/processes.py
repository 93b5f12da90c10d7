"""What every process command does first and last."""

import os
import sys

import typer

from collector.settings import Settings


def process_settings(process: str) -> Settings:
    """The settings of the environment, with logging set up for `process`."""
    from observe import configure_logging

    settings = Settings.from_environ(os.environ)
    configure_logging(process, settings.log_level)
    return settings


def exit_code(code: int) -> None:
    """Ends the command with the code its process returned."""
    sys.stdout.flush()
    raise typer.Exit(code)


def say(text: str) -> None:
    """To the person at the terminal; standard output is for answers."""
    print(text, file=sys.stderr, flush=True)
