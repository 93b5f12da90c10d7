"""A clock is stepped for one process, which goes on waiting and counting as before."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from chaos.clocks import CannotStep, Clocks

HOUR_S = 3600
# Every way in which the product learns the time of day; then that it can sleep, and for how long.
TELL = """
import datetime, sqlite3, sys, time
for _ in sys.stdin:
    began_s = time.monotonic()
    time.sleep(0.01)
    said_s = sqlite3.connect(":memory:").execute("SELECT unixepoch()").fetchone()[0]
    now = datetime.datetime.now().timestamp()
    print(time.time(), time.time_ns() / 1e9, now, said_s, time.monotonic() - began_s, flush=True)
"""


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> Clocks:
    return Clocks(tmp_path_factory.mktemp("clocks"), ["one", "other"])


@pytest.fixture
def told(clocks: Clocks) -> Iterator[subprocess.Popen[str]]:
    words, pipe = [sys.executable, "-c", TELL], subprocess.PIPE
    environ = os.environ | clocks.environ("one")
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, env=environ, text=True) as process:
        yield process
        process.kill()


def tells(process: subprocess.Popen[str]) -> list[float]:
    assert process.stdin is not None
    assert process.stdout is not None
    print(file=process.stdin, flush=True)
    return [float(number) for number in process.stdout.readline().split()]


def test_a_clock_is_stepped_at_once_and_back_and_nothing_else_is(clocks, told):
    for moved_s in (0, HOUR_S, -HOUR_S, 0):
        clocks.move("one", moved_s)
        *times_s, slept_s = tells(told)
        right_s = time.time()
        assert clocks.moved_s("one") == moved_s
        for time_s in times_s:
            assert abs(time_s - moved_s - right_s) < HOUR_S / 2
        assert 0.01 <= slept_s < HOUR_S / 2


def test_the_clock_of_another_stays(clocks, told):
    clocks.move("other", HOUR_S)
    assert abs(tells(told)[0] - time.time()) < HOUR_S / 2


def test_where_there_is_no_compiler_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotStep, match="there is no C compiler, cc"):
        Clocks(tmp_path, ["one"])
