"""While the counters' server is away, two collectors together admit what one would."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import plain_http
from tests.bad_input.live import LiveCollector
from tests.conftest import ValkeyProcess
from tests.waiting import eventually

SOME, ONE, LEASED = 21, 1, 1000
ADVANCE = LEASED // 100  # what a collector may hold of it
QUOTAS = [
    {"name": "some", "limit": SOME, "algorithm": "fixed-window"},
    {"name": "one", "limit": ONE, "algorithm": "rolling-window"},
    {"name": "leased", "limit": LEASED, "algorithm": "token-bucket", "leased": True},
]


def rule(quota: dict[str, Any]) -> dict[str, Any]:
    match = f'destination.service == "{quota["name"]}"'
    return {"kind": "quota", "match": match, "window": 3600, "on_backend_error": "local"} | quota


def check(collector: LiveCollector, name: str, hits: int = 1) -> dict[str, Any]:
    body = {"attributes": {"destination.service": name}, "hits": hits}
    answer = plain_http.post(f"{collector.url}/api/v1/check", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def admitted(pair: list[LiveCollector], name: str, hits: int = 1) -> int:
    """Until both refuse, one after the other."""
    total, left = 0, list(pair)
    while left:
        for collector in list(left):
            if check(collector, name, hits)["allowed"]:
                total += hits
            else:
                left.remove(collector)
    return total


def held_by(collector: LiveCollector, asked: LiveCollector) -> int:
    for _ in range(10):
        check(collector, "leased")
    (use,) = plain_http.get(f"{asked.url}/api/v1/quotas/leased/usage").json()["consumers"]
    return int(use["leased"])


def know_each_other(pair: list[LiveCollector]) -> bool:
    return all(
        "meshmeter_collectors_live 2.0" in plain_http.get(f"{each.url}/metrics").text
        for each in pair
    )


@pytest.fixture
def pair(tmp_path: Path, valkey: ValkeyProcess) -> Iterator[list[LiveCollector]]:
    rules = f"sqlite:///{tmp_path}/rules.sqlite"
    started: list[LiveCollector] = []
    try:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            # Patient: on a machine that is busy with tests, an answer may take its time.
            started.append(LiveCollector(tmp_path / name, valkey.url, rules, check_deadline_s=0.5))
            for quota in QUOTAS if name == "one" else ():
                made = plain_http.post(f"{started[0].url}/api/v1/rules", json=rule(quota))
                assert made.status_code == 201, made.text
        yield started
    finally:
        for collector in started:
            collector.kill()


def test_all_together_admit_the_limit_and_what_they_held_in_advance(
    pair: list[LiveCollector], valkey: ValkeyProcess
) -> None:
    eventually(lambda: know_each_other(pair))
    # What one holds in advance is known to the other.
    assert eventually(lambda: held_by(pair[1], asked=pair[0])) <= ADVANCE
    for collector in pair * 20:  # so that something is held
        check(collector, "leased")
    psutil.Process(valkey.process.pid).suspend()
    assert admitted(pair, "some") == SOME - 1  # rounded down
    assert admitted(pair, "one") == 2  # at least one each
    assert LEASED - 50 <= admitted(pair, "leased", 25) <= LEASED + 2 * ADVANCE
    refused = check(pair[0], "some")
    assert (refused["allowed"], refused["decided_by"]) == (False, "fallback")

    valkey.kill()
    pair[1].kill()
    pair[1].start()  # it never heard how many there are
    assert admitted(pair, "some") == SOME
    valkey.start()
    eventually(lambda: check(pair[0], "one")["decided_by"] == "quota")
    eventually(lambda: know_each_other(pair))
