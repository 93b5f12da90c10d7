"""Starts child processes, keeps them running, stops them in reverse order.

A child that ends by itself is restarted, with a growing pause, and said so. Children run in
sessions of their own, so that a Ctrl-C reaches only the supervisor, and the kernel ends them
with it (PR_SET_PDEATHSIG), whatever ends it.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
STEADY_S = 30.0  # a child that ran this long starts its next pause anew
LIBC = ctypes.CDLL(None, use_errno=True)


class ChildFailed(Exception):
    """A child did not become ready; the message holds the end of its log."""


@dataclass(frozen=True)
class ChildSpec:
    """`ready` answers "" once the child serves, else what is missing. `stuck` answers "" while it
    works or says what is wrong; one that is stuck for `stuck_s` is killed, and started again."""

    name: str
    argv: Sequence[str]
    ready: Callable[[], str]
    stuck: Callable[[], str] = lambda: ""
    stuck_s: float = 15.0
    stop_s: float = 15.0
    start_s: float = 60.0


@dataclass
class Child:
    spec: ChildSpec
    process: subprocess.Popen[bytes]
    started_s: float
    restarts: int = 0
    away_until_s: float = 0.0  # it is not to be started again before
    pause_s: float = FIRST_PAUSE_S
    again_s: float | None = None  # when it is to be started again, once it has ended
    awaited: bool = False  # started again, and not yet ready
    looked_s: float = 0.0  # when it was last asked whether it is stuck
    stuck_since_s: float | None = None


@dataclass
class Supervisor:
    """`add`, then `watch` until `stop_event` is set, then `stop`; all from one thread."""

    environ: Mapping[str, str]
    log_dir: Path
    say: Callable[[str], None]
    longest_pause_s: float = LONGEST_PAUSE_S
    look_s: float = 5.0  # between two questions whether a child is stuck
    stop_event: threading.Event = field(default_factory=threading.Event)
    children: dict[str, Child] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # variables, by child

    def add(self, specs: Sequence[ChildSpec]) -> None:
        """Starts them side by side; returns when every one is ready.

        Raises ChildFailed, with all children stopped.
        """
        self.log_dir.mkdir(parents=True, exist_ok=True)
        try:
            for spec in specs:
                self.say(f"starting {spec.name}")
                self.children[spec.name] = Child(spec, self._spawn(spec), time.monotonic())
            for spec in specs:
                self._wait_ready(self.children[spec.name])
        except BaseException:
            self.stop()
            raise

    def watch(self) -> None:
        """Restarts what ends, until `stop_event` is set. None waits for another to be ready: the
        one that it needs may be the next to be started."""
        while not self.stop_event.wait(0.2):
            for child in self.children.values():
                self._look_after(child)

    def keep_away(self, name: str, seconds: float) -> None:
        """Should it end within that time, it is started again after it."""
        self.children[name].away_until_s = time.monotonic() + seconds

    def stop(self) -> None:
        """Ends the children in reverse order: SIGTERM, then after `stop_s` SIGKILL."""
        self.stop_event.set()
        for child in reversed(self.children.values()):
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(child.spec.stop_s)
            if child.process.poll() is None:
                self.say(f"{child.spec.name} did not stop in {child.spec.stop_s:.0f} s: killed")
                child.process.kill()
                child.process.wait()

    def log_path(self, name: str) -> Path:
        return self.log_dir / f"{name}.log"

    def _spawn(self, spec: ChildSpec) -> subprocess.Popen[bytes]:
        with self.log_path(spec.name).open("ab") as log:
            return subprocess.Popen(
                spec.argv,
                env={**self.environ, **self.own.get(spec.name, {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def _wait_ready(self, child: Child) -> None:
        deadline = time.monotonic() + child.spec.start_s
        while state := child.spec.ready():
            code = child.process.poll()
            if code is not None:
                raise ChildFailed(f"{child.spec.name} ended with code {code}: {self._tail(child)}")
            if time.monotonic() > deadline:
                raise ChildFailed(
                    f"{child.spec.name} is not ready after {child.spec.start_s:.0f} s "
                    f"({state}): {self._tail(child)}"
                )
            if self.stop_event.wait(0.05):
                raise ChildFailed("stopped while starting")

    def _look_after(self, child: Child) -> None:
        name, now_s = child.spec.name, time.monotonic()
        if child.process.poll() is None:
            if child.awaited and not child.spec.ready():
                child.awaited = False
                self.say(f"{name} is back (pid {child.process.pid})")
            elif not child.awaited and now_s - child.looked_s >= self.look_s:
                child.looked_s = now_s
                self._look_at(child, now_s)
        elif child.again_s is None:
            self._plan_restart(child, now_s)
        elif now_s >= child.again_s:
            child.process, child.started_s = self._spawn(child.spec), now_s
            child.again_s, child.awaited = None, True
            child.restarts += 1

    def _look_at(self, child: Child, now_s: float) -> None:
        why = child.spec.stuck()
        if not why:
            child.stuck_since_s = None
            return
        since_s = child.stuck_since_s = child.stuck_since_s or now_s
        if now_s - since_s >= child.spec.stuck_s:
            self.say(f"{child.spec.name} is stuck ({why}): killed")
            child.stuck_since_s = None
            child.process.kill()

    def _plan_restart(self, child: Child, now_s: float) -> None:
        if now_s - child.started_s > STEADY_S:
            child.pause_s = FIRST_PAUSE_S
        code, last = child.process.returncode, self._tail(child) if child.awaited else ""
        self.say(
            f"{child.spec.name} ended with code {code}; starting it again in {child.pause_s:.1f} s"
            + (f": {last}" if last else "")
        )
        child.again_s = max(now_s + child.pause_s, child.away_until_s)
        child.awaited = False
        child.pause_s = min(self.longest_pause_s, child.pause_s * 2)

    def _tail(self, child: Child) -> str:
        lines = self.log_path(child.spec.name).read_text(errors="replace").splitlines()
        return " | ".join(lines[-3:]) or "it wrote no log"


def _die_with_parent() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
