"""The help is there for every command, and calls the program by the name its users type."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from cli.main import app

Command = TyperGroup | TyperCommand


def commands(of: Command, path: str) -> Iterator[tuple[str, Command]]:
    yield path, of
    if isinstance(of, TyperGroup):
        for name, command in of.commands.items():
            yield from commands(command, f"{path} {name}")


ALL = dict(commands(get_command(app), "meshmeter"))


@pytest.mark.parametrize("path", ALL)
def test_a_command_and_each_of_its_options_says_what_it_does(path: str) -> None:
    command = ALL[path]
    assert command.help, path
    unsaid = [
        parameter.name
        for parameter in command.params
        if isinstance(parameter, TyperOption) and not parameter.help
    ]
    assert not unsaid


def test_help_speaks_of_meshmeter_however_it_was_started() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "cli", "rules", "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: meshmeter rules" in shown.stdout
