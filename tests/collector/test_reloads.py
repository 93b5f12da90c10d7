"""A collector whose rules change all the time, and one that is killed while they do."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import plain_http
from tests.bad_input.live import LiveCollector
from tests.collector.reloading import OPEN, SHUT, Reloading, reloaded
from tests.waiting import eventually

CHANGES = 300  # benchmarks/reloads.py makes as many as are asked for


@pytest.fixture
def collector(tmp_path: Path, redis_url: str) -> Iterator[LiveCollector]:
    live = LiveCollector(tmp_path, redis_url)
    yield live
    live.kill()


def snapshot(collector: LiveCollector) -> dict[str, object]:
    found: dict[str, object] = plain_http.get(f"{collector.url}/api/v1/snapshot").json()
    return found


def test_no_check_fails_or_is_behind_the_times_while_rules_change(
    collector: LiveCollector,
) -> None:
    count = reloaded(collector, CHANGES)
    assert not count.failed
    assert count.stale == 0
    assert count.answered > CHANGES
    assert 0 < count.denied < count.answered
    assert snapshot(collector) == {"version": 2 + CHANGES, "failing": ""}


def test_killed_amid_changes_it_starts_without_the_database_from_its_last_good_rules(
    collector: LiveCollector, tmp_path: Path
) -> None:
    reloading = Reloading(collector)
    changing = threading.Thread(target=change_until_killed, args=(reloading,))
    changing.start()
    eventually(lambda: reloading.answered[SHUT] > 20)
    collector.kill()
    changing.join()
    (tmp_path / "rules.sqlite").write_bytes(b"no database" * 1000)
    for side in tmp_path.glob("rules.sqlite-*"):
        side.unlink()
    collector.start()
    told = snapshot(collector)
    assert "not a database" in str(told["failing"])
    for name in (OPEN, SHUT):
        assert reloading.answered[name] <= reloading.check(name) <= reloading.sent[name]
    reloading.close()


def change_until_killed(reloading: Reloading) -> None:
    number = 0
    try:
        while True:
            number += 1
            reloading.change(number)
    except httpx.TransportError:
        return
