import asyncio
import math
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from collector.errors import InvalidSetting, Overloaded
from collector.outbox import Outbox
from collector.outbox.fill import Trend
from collector.outbox.refusals import Full, Pressed
from tests.pipeline.reports import append, lease, report, terms
from tests.waiting import eventually

MIB = 1024 * 1024
BALLAST = 4 * MIB


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def opened(directory: Path, max_bytes: int = 64 * MIB, **options) -> Iterator[Outbox]:
    outbox = Outbox(directory, max_bytes, ballast_bytes=BALLAST, **options)
    try:
        yield outbox
    finally:
        outbox.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def outbox(tmp_path, clock):
    with opened(tmp_path, clock=clock) as found:
        yield found


def test_what_was_appended_comes_back_in_order(outbox):
    sent = [report(b"%d" % number, f"node-{number}") for number in range(5)]
    assert append(outbox, *sent) == 5
    assert outbox.read_group(outbox.freeze_group(MIB)) == sent


def test_a_group_ends_at_its_size_and_holds_at_least_one_report(outbox):
    append(outbox, *(report(bytes([letter]) * 1000) for letter in b"abcde"))
    sizes = []
    while group := outbox.freeze_group(2500):
        sizes.append(len(outbox.read_group(group)))
    assert sizes == [2, 2, 1]
    append(outbox, report(b"z" * 9000))
    assert len(outbox.read_group(outbox.freeze_group(2500))) == 1


def test_nothing_makes_no_group(outbox):
    assert outbox.freeze_group(MIB) == 0
    assert outbox.hand_out(terms(), limit=16, ripe=True) == ([], [])


def test_the_same_body_of_the_same_sender_is_stored_once(outbox):
    assert append(outbox, report(b"one"), report(b"one")) == 1
    assert append(outbox, report(b"one")) == 0
    assert append(outbox, report(b"one", identity="b-1.default")) == 1
    assert outbox.stats().pending_requests == 2


def test_a_body_is_known_for_an_hour_even_after_it_was_stored_and_after_a_restart(tmp_path, clock):
    sent = report(b"one", received_ns=int(clock.now_s * 1e9))
    with opened(tmp_path, clock=clock, elapsed=clock) as outbox:
        append(outbox, sent)
        outbox.mark_done(outbox.freeze_group(MIB))
        clock.now_s += 1800
        outbox.purge()
        assert append(outbox, sent) == 0
    with opened(tmp_path, clock=clock, elapsed=clock) as outbox:
        assert append(outbox, sent) == 0
        clock.now_s += 1801
        outbox.purge()
        assert append(outbox, sent) == 1


def test_a_clock_that_is_set_forward_makes_no_body_forgotten_until_it_has_run_on_for_an_hour(
    tmp_path, clock
):
    elapsed = Clock()
    sent = report(b"one", received_ns=int(clock.now_s * 1e9))
    with opened(tmp_path, clock=clock, elapsed=elapsed) as outbox:
        append(outbox, sent)
        outbox.mark_done(outbox.freeze_group(MIB))
        clock.now_s += 3601
        outbox.purge()
        assert append(outbox, sent) == 0
        for passing in (clock, elapsed):
            passing.now_s += 3599
        outbox.purge()
        assert append(outbox, sent) == 0
        for passing in (clock, elapsed):
            passing.now_s += 2
        outbox.purge()
        assert append(outbox, sent) == 1


def test_pending_groups_are_handed_out_again_after_a_restart(tmp_path):
    with opened(tmp_path) as outbox:
        collector_id = outbox.collector_id
        append(outbox, report(b"frozen"))
        frozen = outbox.freeze_group(MIB)
        assert lease(outbox) == [frozen]
        append(outbox, report(b"waiting"))
    with opened(tmp_path) as outbox:
        assert outbox.collector_id == collector_id
        assert outbox.stats().pending_requests == 2
        assert lease(outbox) == [frozen]
        assert [found.body for found in outbox.read_group(outbox.freeze_group(MIB))] == [b"waiting"]


def test_no_more_groups_are_out_than_the_window_holds(outbox, clock):
    append(outbox, *(report(b"%d" % number) for number in range(5)))
    groups = [outbox.freeze_group(1) for _ in range(5)]
    assert lease(outbox, window=2) == groups[:2]
    assert lease(outbox, window=2) == []
    outbox.mark_done(groups[0])
    assert lease(outbox, window=2) == [groups[2]]
    clock.now_s += 11
    assert lease(outbox, window=2) == [groups[1], groups[2]]


def test_what_waits_is_frozen_when_it_fills_a_group_or_is_ripe(outbox):
    append(outbox, *(report(bytes([letter]) * 1000) for letter in b"abc"))
    small = terms(group_bytes=2000)
    first, _ = outbox.hand_out(small, limit=16, ripe=False)
    assert [(group.requests, group.bytes, group.sends) for group in first] == [(2, 2000, 1)]
    assert outbox.hand_out(small, limit=16, ripe=False) == ([], [])
    second, _ = outbox.hand_out(small, limit=16, ripe=True)
    assert [(group.requests, group.bytes) for group in second] == [(1, 1000)]


def test_without_room_nothing_is_frozen_so_that_groups_grow(outbox):
    append(outbox, report(b"one"))
    assert len(outbox.hand_out(terms(window=1), limit=1, ripe=True)[0]) == 1
    append(outbox, report(b"two"))
    append(outbox, report(b"three"))
    assert outbox.hand_out(terms(window=1), limit=1, ripe=True) == ([], [])
    assert outbox.stats().unfrozen_requests == 2


def test_a_group_is_quarantined_after_eight_attempts_and_kept(outbox, clock):
    append(outbox, report(b"poison"))
    group = outbox.freeze_group(MIB)
    for _ in range(8):
        assert lease(outbox) == [group]
        assert outbox.begin_attempt(group)
        outbox.mark_failed(group, "ValueError: bad")
        clock.now_s += 11
    assert outbox.hand_out(terms(), limit=16, ripe=True) == ([], [(group, "ValueError: bad")])
    clock.now_s += 10_000
    outbox.purge()
    assert outbox.begin_attempt(group) is None
    assert outbox.stats().pending_requests == 0
    assert outbox.stats().quarantined_groups == 1
    assert [found.body for found in outbox.read_group(group)] == [b"poison"]


def test_groups_that_wait_for_the_store_or_a_worker_are_never_quarantined(outbox, clock):
    append(outbox, report(b"good"))
    group = outbox.freeze_group(MIB)
    for _ in range(20):
        assert lease(outbox) == [group]
        clock.now_s += 11
        assert lease(outbox) == [group]
        assert outbox.begin_attempt(group)
        outbox.put_back(group, 1, taken=True)
        clock.now_s += 2


def test_a_group_with_a_fault_leaves_its_place_to_others(outbox):
    append(outbox, report(b"poison"), report(b"good"))
    bad, good = outbox.freeze_group(1), outbox.freeze_group(1)
    assert lease(outbox, window=1) == [bad]
    outbox.begin_attempt(bad)
    outbox.mark_failed(bad, "ValueError: bad")
    assert lease(outbox, window=1) == [good]


def test_a_group_is_sent_again_after_the_clock_was_set_back(outbox, clock):
    append(outbox, report(b"one"))
    (sent,) = outbox.hand_out(terms(), limit=16, ripe=True)[0]
    clock.now_s -= 3600
    (again,) = outbox.hand_out(terms(), limit=16, ripe=True)[0]
    assert (again.id, again.sends) == (sent.id, 2)
    assert outbox.hand_out(terms(), limit=16, ripe=True) == ([], [])


def test_a_lease_grows_with_the_times_a_worker_took_the_group_and_else_little(outbox, clock):
    grown: list[int] = []

    def lease_s(times: int) -> float:
        grown.append(times)
        return 10.0

    growing = replace(terms(), lease_s=lease_s)
    append(outbox, report(b"one"))
    for taken in (False, False, False, False, True, True, True, True):
        (group,) = outbox.hand_out(growing, limit=16, ripe=True)[0]
        if taken:
            outbox.begin_attempt(group.id)
        clock.now_s += 11
    assert grown == [0, 1, 2, 2, 2, 2, 2, 3]


def test_done_counts_once_and_a_done_group_is_not_taken_again(outbox):
    append(outbox, report(b"one"))
    group = outbox.freeze_group(MIB)
    assert outbox.mark_done(group)
    assert not outbox.mark_done(group)
    assert outbox.begin_attempt(group) is None
    assert lease(outbox) == []
    assert outbox.stats().pending_groups == 0


def test_the_age_of_the_oldest_counts_frozen_and_waiting_reports(outbox, clock):
    append(outbox, report(b"one", received_ns=int((clock.now_s - 9) * 1e9)))
    assert outbox.stats().oldest_s == pytest.approx(9)
    group = outbox.freeze_group(MIB)
    append(outbox, report(b"two", received_ns=int((clock.now_s - 5) * 1e9)))
    assert outbox.stats().oldest_s == pytest.approx(9)
    outbox.mark_done(group)
    assert outbox.stats().oldest_s == pytest.approx(5)
    outbox.mark_done(outbox.freeze_group(MIB))
    assert outbox.stats().oldest_s == 0


def accepted_until_full(outbox: Outbox, *, headroom: bool = False) -> int:
    for taken in range(1000):
        try:
            append(outbox, replace(report(os.urandom(500_000)), headroom=headroom))
        except (Full, Pressed):
            return taken
    raise AssertionError("it was never full")


def test_a_full_outbox_refuses_then_drains_and_accepts_again(tmp_path):
    with opened(tmp_path, max_bytes=8 * MIB) as outbox:
        taken = accepted_until_full(outbox)
        assert 6 <= taken <= 12
        more = accepted_until_full(outbox, headroom=True)
        assert 2 <= more <= 5
        taken += more
        assert 0.9 <= outbox.stats().level < 1
        stored = 0
        while group := outbox.freeze_group(2 * MIB):
            stored += len(outbox.read_group(group))
            outbox.mark_done(group)
        assert stored == taken
        again = accepted_until_full(outbox)
        assert again + accepted_until_full(outbox, headroom=True) >= taken - 1


def test_above_half_full_nothing_is_kept_that_is_stored(tmp_path):
    with opened(tmp_path, max_bytes=8 * MIB) as outbox:
        for _ in range(40):
            assert append(outbox, report(os.urandom(500_000))) == 1
            outbox.mark_done(outbox.freeze_group(MIB))
        assert outbox.stats().level < 0.7


def test_the_time_to_full_is_that_at_the_rate_of_the_last_minute():
    trend = Trend()
    trend.note(0, 1000)
    assert trend.time_to_full_s(5000) == math.inf
    for second in range(1, 31):
        trend.note(second, 1000 + 100 * second)
    assert trend.time_to_full_s(5000) == 50
    for second in range(31, 101):
        trend.note(second, 4000 + 10 * (second - 30))
    assert trend.time_to_full_s(5000) == 500
    assert trend.time_to_full_s(-5) == 0
    for second in range(101, 170):
        trend.note(second, 2000)
    assert trend.time_to_full_s(5000) == math.inf


def test_one_report_too_many_does_not_take_others_of_its_commit_down(tmp_path):
    async def together(outbox: Outbox) -> list[object]:
        sizes = [1000, 12 * MIB, 1000]
        appends = [outbox.append([report(os.urandom(size))]) for size in sizes]
        return await asyncio.gather(*appends, return_exceptions=True)

    with opened(tmp_path, max_bytes=8 * MIB) as outbox:
        first, second, third = asyncio.run(together(outbox))
        assert (first, third) == (1, 1)
        assert isinstance(second, Overloaded)
        assert outbox.stats().pending_requests == 2


def test_more_than_memory_should_hold_is_refused_at_once(tmp_path):
    async def flood(outbox: Outbox) -> list[object]:
        body = bytes(16 * MIB)
        appends = [outbox.append([report(body, f"n{number}")]) for number in range(6)]
        return await asyncio.gather(*appends, return_exceptions=True)

    with opened(tmp_path, max_bytes=512 * MIB) as outbox:
        answers = asyncio.run(flood(outbox))
    assert answers[:4] == [1] * 4
    assert [type(answer).__name__ for answer in answers[4:]] == ["Slow"] * 2


def break_file(outbox: Outbox) -> None:
    """With a limit on file sizes: writes beyond it fail with an I/O error, as on a broken disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, limits[1]))
    try:
        with pytest.raises(Overloaded, match="cannot be written"):
            append(outbox, report(os.urandom(4 * MIB)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_failing_disk_ends_writing_for_good_and_loses_nothing(tmp_path):
    directory = tmp_path / "outbox"
    with opened(directory) as outbox:
        append(outbox, report(b"kept"))
        break_file(outbox)
        assert "cannot be written" in outbox.trouble()
        with pytest.raises(Overloaded):
            append(outbox, report(b"refused"))
    with opened(directory) as outbox:
        assert outbox.trouble() == ""
        assert [found.body for found in outbox.read_group(outbox.freeze_group(MIB))] == [b"kept"]


def test_after_a_failing_disk_a_fresh_file_goes_on_and_both_are_delivered(tmp_path):
    directory = tmp_path / "outbox"
    with opened(directory) as outbox:
        append(outbox, report(b"kept"))
        assert not outbox.renew()
        before = outbox.collector_id
        break_file(outbox)
        assert outbox.renew()
        assert (outbox.trouble(), outbox.broken_files) == ("", 1)
        assert outbox.collector_id != before
        assert append(outbox, report(b"kept")) == 0  # it is known, though in the other file
        assert append(outbox, report(b"fresh")) == 1
        assert Outbox.left_behind(directory, MIB) is None  # both are held
    with opened(directory) as outbox:
        assert outbox.collector_id == before
        assert [found.body for found in outbox.read_group(outbox.freeze_group(MIB))] == [b"kept"]
        left = Outbox.left_behind(directory, 64 * MIB)
        assert left is not None
        assert [found.body for found in left.read_group(left.freeze_group(MIB))] == [b"fresh"]
        left.close()


def test_only_what_waits_in_a_file_that_nobody_holds_is_left_behind(tmp_path):
    with opened(tmp_path) as first, opened(tmp_path) as second:
        append(first, report(b"one"))
        append(second, report(b"two"))
        second.mark_done(second.freeze_group(MIB))
    for _ in range(2):  # not frozen, then frozen
        left = Outbox.left_behind(tmp_path, 64 * MIB)
        assert left is not None
        assert left.collector_id == first.collector_id
        group = left.freeze_group(MIB)
        left.close()
    left = Outbox.left_behind(tmp_path, 64 * MIB)
    assert left is not None
    left.mark_done(group or 1)
    left.close()
    assert Outbox.left_behind(tmp_path, 64 * MIB) is None


FULL_DISK = """
import asyncio, os, sqlite3, subprocess, sys, time
from pathlib import Path
from collector.model import Report, Signal
from collector.outbox import Outbox
from collector.outbox.refusals import Full

directory = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", directory], check=True)

def append(outbox):
    body = os.urandom(500_000)
    asyncio.run(outbox.append([Report(Signal.ALS, body, time.time_ns(), "n", headroom=True)]))

def fill(outbox):
    for taken in range(1000):
        try:
            append(outbox)
        except Full:
            return taken

def drain(outbox):
    stored = 0
    while group := outbox.freeze_group(4 << 20):
        stored += len(outbox.read_group(group))
        outbox.mark_done(group)
    return stored

outbox = Outbox(directory, 1 << 30)
ballast = directory / "outbox-0.ballast"
assert ballast.exists()
taken = fill(outbox)
assert taken > 50, taken
assert not ballast.exists()
assert os.statvfs(directory).f_bavail * os.statvfs(directory).f_frsize < 48 << 20
outbox.close()

outbox = Outbox(directory, 1 << 30)  # it starts on a full disk
assert drain(outbox) == taken
again = fill(outbox)
assert again > 10, again
assert drain(outbox) == again
assert outbox.trouble() == ""
outbox.close()
found = sqlite3.connect(directory / "outbox-0.sqlite")
assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
print("held")
"""


def test_on_a_full_disk_nothing_is_lost_and_it_drains_and_takes_again(tmp_path):
    """A disk of 96 MiB in memory, mounted where only the child sees it."""
    child = subprocess.run(
        ["unshare", "--map-root-user", "--mount", sys.executable, "-c", FULL_DISK, str(tmp_path)],
        cwd=Path.cwd(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert child.stdout == "held\n", child.stderr


def test_a_second_collector_takes_a_file_of_its_own(tmp_path):
    with opened(tmp_path) as first, opened(tmp_path) as second:
        assert first.collector_id != second.collector_id
        append(first, report(b"one"))
        assert second.stats().pending_requests == 0


@pytest.mark.parametrize("name", ["file", "/proc/none", "/dev/null/x"])
def test_a_directory_that_cannot_be_used_is_a_clear_error(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSetting, match="cannot keep an outbox in"):
        Outbox(tmp_path / name, MIB)


def test_a_damaged_file_is_a_clear_error(tmp_path):
    (tmp_path / "outbox-0.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(InvalidSetting, match="not a database"):
        Outbox(tmp_path, MIB)


def test_a_closed_outbox_refuses(tmp_path):
    with opened(tmp_path) as outbox:
        pass
    with pytest.raises(Overloaded, match="closed"):
        append(outbox, report(b"late"))


def test_every_commit_is_synced(tmp_path):
    with opened(tmp_path) as outbox:
        append(outbox, report(b"one"))
        pragma = outbox._file.connection.execute
        assert pragma("PRAGMA synchronous").fetchone() == (2,)
        assert pragma("PRAGMA journal_mode").fetchone() == ("wal",)
        assert pragma("PRAGMA page_size").fetchone() == (65536,)


WRITER = """
import asyncio, itertools, os, sys, time
from pathlib import Path
from collector.model import Report, Signal
from collector.outbox import Outbox
from collector.outbox.refusals import Full

async def client(outbox, number):
    for count in itertools.count():
        name = b"%d-%d" % (number, count)
        body = name + b" " + os.urandom(20000)
        await outbox.append([Report(Signal.ALS, body, time.time_ns(), "n")])
        os.write(1, name + b"\\n")

async def main():
    outbox = Outbox(Path(sys.argv[1]), 1 << 30)
    await asyncio.gather(*(client(outbox, number) for number in range(8)))

asyncio.run(main())
"""


def test_a_kill_right_after_the_acknowledgement_loses_nothing(tmp_path):
    directory = tmp_path / "outbox"
    acked: set[bytes] = set()
    for kill in range(3):
        ledger = tmp_path / f"ledger-{kill}"
        with ledger.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", WRITER, str(directory)], stdout=out, cwd=Path.cwd()
            )
        try:
            eventually(lambda path=ledger, size=1000 * (kill + 1): path.stat().st_size > size)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        written = ledger.read_bytes()
        acked |= {b"%d " % kill + name for name in written[: written.rfind(b"\n")].split(b"\n")}
        with opened(directory) as outbox:
            while group := outbox.freeze_group(4 * MIB):
                for found in outbox.read_group(group):
                    acked.discard(b"%d " % kill + found.body.partition(b" ")[0])
        assert acked == set()
    found = sqlite3.connect(directory / "outbox-0.sqlite")
    assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found.close()
