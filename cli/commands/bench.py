"""`meshmeter bench`: measures of a running meshmeter that need more than a script."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from cli.processes import exit_code, say

app = typer.Typer(help="Break and measure a meshmeter of its own.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Break and measure a meshmeter of its own."""


@app.command()
def chaos(
    faults: Annotated[int, typer.Option(min=1, help="how many times something is broken")] = 60,
    report: Annotated[
        Path | None, typer.Option(help="write what was counted there, as JSON")
    ] = None,
    seed: Annotated[int, typer.Option(help="the same seed, the same faults in the same order")] = 1,
    spans_per_second: Annotated[
        float, typer.Option(min=1, help="sent meanwhile, by all senders together")
    ] = 2000.0,
    senders: Annotated[int, typer.Option(min=1, max=64, help="clients that send")] = 3,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="where everything is kept; default: a directory removed afterwards"),
    ] = None,
) -> None:
    """Break the processes of a meshmeter and what connects them while it is used.

    Spans that were acknowledged must be stored, each exactly once and as it was sent, the rollups
    must count the same, and nothing may be left of a fault. Ends with exit code 1
    when it is not so.
    """
    from chaos.rig import rig_in
    from chaos.run import Chaos, Plan, watched, written
    from collector.settings import PREFIX
    from launch.signals import stop_on_signals
    from launch.supervisor import ChildFailed
    from observe import configure_logging

    configure_logging("bench", "ERROR")
    directory = data_dir or Path(tempfile.mkdtemp(prefix="meshmeter-chaos-"))
    environ = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    rig = rig_in(directory, environ, say)
    stop_on_signals(rig.supervisor.stop_event)
    code = 1
    try:
        rig.start()
        plan = Plan(faults, seed, senders, spans_per_second)
        result = watched(Chaos(rig, plan, say), rig.supervisor)
    except KeyboardInterrupt:
        say("stopped before the end: there is no report")
    except ChildFailed as error:
        say(str(error))
    else:
        text = written(result)
        if report is None:
            print(text, end="")
        else:
            report.write_text(text)
            say(f"report written to {report}")
        for fault in result.faults:
            print(f"meshmeter: {fault}", file=sys.stderr)
        code = 1 if result.faults else 0
    finally:
        rig.close()
    if data_dir is None and code == 0:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        say(f"the data and logs are kept in {directory.absolute()}")
    exit_code(code)


@app.command()
def powercut(
    cuts: Annotated[int, typer.Option(min=1, help="how many times the power is cut")] = 20,
    report: Annotated[
        Path | None, typer.Option(help="write what was counted there, as JSON")
    ] = None,
) -> None:
    """Cut the power under an outbox, and look whether what it acknowledged is on the disk.

    Needs root and loop mounts: the disk is an image file. Ends with exit code 1 when anything is
    lost, and 2 when nothing can be mounted.
    """
    import json

    from chaos.disk import CannotMount
    from chaos.powercut import cuts as cut_one_by_one

    with tempfile.TemporaryDirectory(prefix="meshmeter-powercut-") as directory:
        try:
            found = list(cut_one_by_one(cuts, Path(directory), say))
        except CannotMount as error:
            say(f"power cannot be cut here: {error}")
            raise typer.Exit(2) from error
    text = json.dumps({
        "cuts": len(found),
        "acknowledged": sum(cut.acknowledged for cut in found),
        "lost": sum(cut.lost for cut in found),
        "cuts_that_lost": sum(cut.lost > 0 for cut in found),
    }) + "\n"  # fmt: skip
    if report is None:
        print(text, end="")
    else:
        report.write_text(text)
    exit_code(1 if any(cut.lost for cut in found) else 0)
