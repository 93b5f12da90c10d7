"""`meshmeter lists`: the lists API from a terminal."""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.rules import call, read, show

app = typer.Typer(help="List, show and change lists that rules ask.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="the list's name")]
File = Annotated[Path, typer.Argument(help="a JSON file holding the list, or - for standard input")]


@app.command("list")
def list_lists() -> None:
    """All lists, without their entries."""
    show(call("GET", "/lists"))


@app.command("show")
def show_list(name: Name) -> None:
    """One list."""
    show(call("GET", f"/lists/{name}"))


@app.command()
def create(file: File) -> None:
    """Make a list."""
    show(call("POST", "/lists", read(file)))


@app.command()
def update(name: Name, file: File) -> None:
    """Replace a list."""
    show(call("PUT", f"/lists/{name}", read(file)))


@app.command()
def delete(name: Name) -> None:
    """Remove a list that no rule asks."""
    call("DELETE", f"/lists/{name}")


@app.command()
def status(name: Name) -> None:
    """What of a list is in force in the collector, and how its source fares."""
    show(call("GET", f"/lists/{name}/status"))


@app.command()
def test(name: Name, value: Annotated[str, typer.Argument(help="a text, or an address")]) -> None:
    """Is this on the list, and by which entry? Exit code 1 when it is not."""
    answer = call("POST", f"/lists/{name}/test", {"value": value})
    show(answer)
    if not answer["on_list"]:
        raise typer.Exit(1)
