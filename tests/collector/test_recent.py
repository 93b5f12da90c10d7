"""What is kept of the last decisions, and how much of it."""

from collector.decisions import recent
from collector.decisions.recent import RecentDecisions
from policy.results import DecidedBy, Decision


def test_the_newest_records_are_kept() -> None:
    kept = RecentDecisions()
    for number in range(recent.MAX_RECORDS + 5):
        kept.keep(f"d-{number}", b'{"id": "d-%d"}' % number)
    assert kept.record("d-4") is None
    assert kept.record("d-5") == {"id": "d-5"}


def test_large_records_push_others_out() -> None:
    kept = RecentDecisions()
    line = b'{"x": "%s"}' % (b"x" * (recent.MAX_BYTES // 3))
    for number in range(4):
        kept.keep(str(number), line)
    assert [kept.record(str(number)) is not None for number in range(4)] == [
        False, False, True, True,
    ]  # fmt: skip


def test_of_what_is_not_recorded_the_newest_are_kept() -> None:
    kept = RecentDecisions()
    for number in range(recent.MAX_UNRECORDED + 1):
        kept.passed(Decision(f"d-{number}", True, DecidedBy.DEFAULT))
    assert kept.unrecorded("d-0") is None
    assert kept.unrecorded("d-1") is not None
