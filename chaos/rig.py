"""A meshmeter of its own, with everything around it that can be broken."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from chaos.clocks import CannotStep, Clocks
from chaos.disk import CannotMount, Disk
from chaos.faults import CLOCKED, OUTBOX, Breaker
from chaos.links import environs, proxies_of
from chaos.proxy import Proxies
from collector.settings import Settings
from launch.embedded import free_ports, start, supervise
from launch.supervisor import Supervisor

CHECK_DEADLINE_S = 0.25  # for counters that are only slow, as is all on a busy machine
LONGEST_PAUSE_S = 1.0  # before what ended is started again


@dataclass(frozen=True)
class Rig:
    """`disk` and `clocks` are None where they cannot be had, and `missing` says why."""

    settings: Settings
    environ: Mapping[str, str]
    supervisor: Supervisor
    proxies: Proxies
    disk: Disk | None
    clocks: Clocks | None
    missing: list[str]

    def start(self) -> None:
        """Raises ChildFailed."""
        start(self.supervisor, self.settings, self.environ)

    def breaker(self) -> Breaker:
        return Breaker(
            self.supervisor, self.proxies, self.settings.broker_url, self.disk, self.clocks
        )

    def close(self) -> None:
        self.supervisor.stop()
        self.proxies.close()
        if self.disk:
            self.disk.close()


def rig_in(directory: Path, environ: Mapping[str, str], say: Callable[[str], None]) -> Rig:
    """Raises InvalidSetting."""
    missing: list[str] = []
    disk, clocks = None, None
    try:
        # Before there are other threads: it changes what this one and those after it see.
        disk = Disk(directory / "outbox.disk", directory / OUTBOX)
    except CannotMount as error:
        missing.append(f"no disk can be filled here: {error}")
    try:
        clocks = Clocks(directory / "clocks", CLOCKED)
    except CannotStep as error:
        missing.append(f"no clock can be stepped here: {error}")
    patient = replace(Settings(), check_deadline_s=CHECK_DEADLINE_S)
    settings = free_ports(patient, directory)
    proxies = proxies_of(settings)
    supervisor = supervise(settings, environ, say)
    supervisor.longest_pause_s = LONGEST_PAUSE_S
    led = environs(settings, proxies)
    clocked = {name: clocks.environ(name) for name in CLOCKED} if clocks else {}
    supervisor.own = {
        name: {**led.get(name, {}), **clocked.get(name, {})} for name in {*led, *clocked}
    }
    return Rig(settings, environ, supervisor, proxies, disk, clocks, missing)
