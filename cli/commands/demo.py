"""`meshmeter demo`: everything, and a small shop of real Envoys to look at."""

from pathlib import Path
from typing import Annotated

import typer

from cli.processes import exit_code, say


def demo(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="where everything is kept; default: a directory removed afterwards"),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="end by itself after so much traffic, seconds")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="with --seconds: write what was counted there, as JSON")
    ] = None,
    rate: Annotated[
        float, typer.Option(min=1, max=500, help="requests of all customers, a second")
    ] = 40.0,
    any_ports: Annotated[
        bool,
        typer.Option("--any-ports", help="own servers on free ports, whatever the settings say"),
    ] = False,
) -> None:
    """Run everything here with a small shop behind real Envoys, and requests to look at.

    With --seconds it runs by itself, compares the Envoys' own counters with what is stored, and
    ends with exit code 1 if they differ.
    """
    from demo.session import run_demo

    exit_code(run_demo(data_dir, seconds, report, rate, any_ports=any_ports, say=say))
