"""One run of the demo, from its directory to its exit code."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx

from collector.errors import CollectorError, InvalidSetting
from collector.settings import PREFIX, Settings
from demo.envoy_binary import envoy_binary
from demo.quota import NAME
from demo.run import Demo, Interrupted
from launch.embedded import free_ports, supervise
from launch.signals import stop_on_signals
from launch.supervisor import ChildFailed
from observe import configure_logging


def run_demo(
    data_dir: Path | None,
    seconds: float | None,
    report: Path | None,
    rate: float,
    *,
    any_ports: bool,
    say: Callable[[str], None],
) -> int:
    """The exit code: 1 when something failed or does not reconcile. Raises InvalidSetting."""
    if report is not None and seconds is None:
        raise InvalidSetting("--report needs --seconds")
    envoy = envoy_binary()
    kept = data_dir is not None
    directory = data_dir or Path(tempfile.mkdtemp(prefix="meshmeter-demo-"))
    environ = {**os.environ, f"{PREFIX}DATA_DIR": str(directory)}
    settings = Settings.from_environ(environ)
    if any_ports:
        settings = free_ports(settings, directory)
        environ = {name: text for name, text in environ.items() if not name.startswith(PREFIX)}
    configure_logging("demo", "WARNING")
    supervisor = supervise(settings, environ, say)
    asked = stop_on_signals(supervisor.stop_event)
    show = Demo(settings, environ, supervisor, envoy, rate, say)
    try:
        code = watched(show) if seconds is None else measured(show, seconds, report)
    except Interrupted:
        code = 1
    except (ChildFailed, CollectorError, httpx.HTTPError, OSError) as error:
        code = 1
        if not asked.is_set():
            say(f"the demo failed: {error}")
    finally:
        say("stopping")
        supervisor.stop()
    if asked.is_set() and seconds is not None:
        say("stopped before the end: there is no report")
    if kept or (code and not asked.is_set()):
        say(f"the data and logs are kept in {directory.absolute()}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return code


def watched(show: Demo) -> int:
    """Until Ctrl-C."""
    show.start()
    show.let_customers_in()
    for line in to_look_at(show.settings):
        show.say(line)
    show.supervisor.watch()
    return 0


def measured(show: Demo, seconds: float, report: Path | None) -> int:
    found, faults = show.measure(show.start(), seconds)
    text = json.dumps(found, indent=2)
    if report is None:
        print(text)
    else:
        report.write_text(text + "\n")
        show.say(f"report written to {report}")
    for fault in faults:
        print(f"meshmeter: does not reconcile: {fault}", file=sys.stderr)
    if not faults:
        show.say("sidecars, collector and store agree")
    return 1 if faults else 0


def to_look_at(settings: Settings) -> list[str]:
    return [
        "",
        f"  Open http://{settings.dashboard}/?window=5m and look at",
        "   * the service graph: of what mobile asks the frontend, about a third is denied, by the",
        f"     quota {NAME}; payment fails now and then, and checkout and frontend with it;",
        "   * latency: recommendations is the slow one, with a long tail;",
        f"   * the API at http://{settings.http}/docs: change the quota, and see it in two seconds",
        f"     (meshmeter rules show {NAME}).",
        "  Ctrl-C stops everything.",
        "",
    ]
