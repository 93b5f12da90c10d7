import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import psutil
import pytest

from launch.supervisor import ChildFailed, ChildSpec, Supervisor
from tests.waiting import eventually

FOREVER = "import signal; signal.pause()"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def always_ready() -> str:
    return ""


def supervisor(tmp_path: Path, said: list[str]) -> Supervisor:
    return Supervisor(dict(os.environ), tmp_path / "logs", said.append)


def test_a_crashed_child_is_started_again_and_said_so(tmp_path):
    said: list[str] = []
    held = supervisor(tmp_path, said)
    held.add([ChildSpec("one", python(FOREVER), always_ready)])
    first = held.children["one"].process.pid
    watcher = threading.Thread(target=held.watch)
    watcher.start()
    try:
        os.kill(first, signal.SIGKILL)
        eventually(lambda: any("is back" in line for line in said))
        assert held.children["one"].process.pid != first
        assert any("one ended with code -9" in line for line in said)
    finally:
        held.stop()
        watcher.join()
    assert held.children["one"].process.poll() is not None


def test_a_child_that_is_stuck_is_killed_and_started_again(tmp_path):
    said: list[str] = []
    why = {"one": "", "two": ""}
    held = supervisor(tmp_path, said)
    held.look_s = 0.01
    held.add(
        [
            ChildSpec(name, python(FOREVER), always_ready, lambda of=name: why[of], stuck_s=0.1)
            for name in why
        ]
    )
    first = {name: child.process.pid for name, child in held.children.items()}
    watcher = threading.Thread(target=held.watch)
    watcher.start()
    try:
        why["one"] = "it takes no messages"
        eventually(lambda: "one is stuck (it takes no messages): killed" in said)
        why["one"] = ""
        eventually(lambda: any("one is back" in line for line in said))
        assert held.children["one"].process.pid != first["one"]
        assert held.children["two"].process.pid == first["two"]
    finally:
        held.stop()
        watcher.join()


def test_a_child_that_is_not_ready_keeps_no_other_from_being_started_again(tmp_path):
    said: list[str] = []
    held = supervisor(tmp_path, said)
    ready = {"one": ""}
    held.add(
        [
            ChildSpec("one", python(FOREVER), lambda: ready["one"]),
            ChildSpec("two", python(FOREVER), always_ready),
        ]
    )
    ready["one"] = "it waits for two"
    watcher = threading.Thread(target=held.watch)
    watcher.start()
    try:
        for child in held.children.values():
            os.kill(child.process.pid, signal.SIGKILL)
        eventually(lambda: any("two is back" in line for line in said))
        assert not any("one is back" in line for line in said)
        ready["one"] = ""
        eventually(lambda: any("one is back" in line for line in said))
    finally:
        held.stop()
        watcher.join()


def test_children_start_in_order_and_stop_in_reverse(tmp_path):
    record = tmp_path / "record"
    code = """
    import pathlib, signal, sys
    record, name = pathlib.Path(sys.argv[1]), sys.argv[2]
    def note(what):
        with record.open("a") as file:
            file.write(f"{what} {name}\\n")
    def stop(*_):
        note("stop")
        sys.exit(0)
    signal.signal(signal.SIGTERM, stop)
    note("start")
    signal.pause()
    """

    def started(name: str):
        return lambda: "" if record.exists() and f"start {name}" in record.read_text() else "no"

    specs = [
        ChildSpec(name, [*python(code), str(record), name], started(name)) for name in ("a", "b")
    ]
    held = supervisor(tmp_path, [])
    for spec in specs:
        held.add([spec])
    held.stop()
    assert record.read_text().split("\n")[:4] == ["start a", "start b", "stop b", "stop a"]


def test_a_child_that_cannot_start_is_named_with_the_end_of_its_log(tmp_path):
    broken = ChildSpec("broken", python("raise SystemExit('no such port')"), lambda: "no answer")
    whole = ChildSpec("whole", python(FOREVER), always_ready)
    held = supervisor(tmp_path, [])
    with pytest.raises(ChildFailed, match="broken ended with code 1: no such port"):
        held.add([whole, broken])
    assert held.children["whole"].process.poll() is not None


def test_a_child_deaf_to_sigterm_is_killed(tmp_path):
    said: list[str] = []
    deaf = """
    import pathlib, signal, sys
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pathlib.Path(sys.argv[1]).touch()
    while True:
        signal.pause()
    """
    mark = tmp_path / "deaf"
    spec = ChildSpec(
        "deaf", [*python(deaf), str(mark)], lambda: "" if mark.exists() else "no", stop_s=0.3
    )
    held = supervisor(tmp_path, said)
    held.add([spec])
    held.stop()
    assert held.children["deaf"].process.returncode == -signal.SIGKILL
    assert any("killed" in line for line in said)


def test_children_end_with_a_killed_supervisor(tmp_path):
    code = f"""
    import os, pathlib, sys
    from launch.supervisor import ChildSpec, Supervisor
    held = Supervisor(dict(os.environ), pathlib.Path({str(tmp_path)!r}), lambda _: None)
    held.add([ChildSpec("one", {python(FOREVER)!r}, lambda: "")])
    print(held.children["one"].process.pid, flush=True)
    held.watch()
    """
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
        parent.kill()
    eventually(
        lambda: (
            not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
        )
    )


def test_a_child_may_be_kept_away_and_have_variables_of_its_own(tmp_path):
    said: list[str] = []
    held = supervisor(tmp_path, said)
    held.own = {"one": {"OWN": "told"}}
    code = "import os; print(os.environ['OWN'], flush=True);" + FOREVER
    held.add([ChildSpec("one", python(code), always_ready)])
    eventually(lambda: held.log_path("one").read_text() == "told\n")
    held.keep_away("one", 600)
    held.children["one"].process.kill()
    watcher = threading.Thread(target=held.watch)
    watcher.start()
    try:
        eventually(lambda: held.children["one"].again_s)
        assert held.children["one"].again_s > held.children["one"].started_s + 500
    finally:
        held.stop()
        watcher.join()
