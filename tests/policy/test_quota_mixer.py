"""What Istio Mixer's own tests expect of its quotas, in every counter store."""

import json
from pathlib import Path
from typing import Any

import pytest

from policy.quota import Dedup, Quota
from policy.quota.base import MAX_WINDOW_US
from tests.policy.counted import NOON_US, SECOND, Counted

CASES = json.loads((Path(__file__).parent / "conformance_quota/mixer.json").read_text())
NAMES = {"FIXED_WINDOW": "fixed-window", "ROLLING_WINDOW": "rolling-window"}
# Mixer's fixed window starts at its first use, at second 30; ours at its multiple, at 31.
OTHERWISE = {
    ("fixed window, all or nothing", 30): (10, 1),
    ("fixed window, all or nothing", 31): (10, 10),
}


def test_a_rolling_window_does_what_memquota_does_tick_by_tick(counters: Counted) -> None:
    case = CASES["memquota_rolling_window_alloc"]
    tick = SECOND // 10
    window = case["ticks_in_window"] * tick
    quota = Quota("rolling-window", case["limit"], window, case["limit"], tick)
    for step in case["steps"]:
        counters.clock.now_us = NOON_US + step["tick"] * tick
        grant = counters.take(quota, step["amount"])
        assert (grant.granted, grant.remaining) == (
            step["expect_granted"],
            step["expect_available_after"],
        ), step


def test_a_rolling_window_gives_back_what_memquota_does_tick_by_tick(counters: Counted) -> None:
    case = CASES["memquota_rolling_window_release"]
    tick = SECOND // 10
    quota = Quota(
        "rolling-window", case["limit"], case["ticks_in_window"] * tick, case["limit"], tick
    )
    for step in case["steps"]:
        counters.clock.now_us = NOON_US + step["alloc_tick"] * tick
        assert counters.take(quota, step["alloc_amount"]).granted, step
        counters.clock.now_us = NOON_US + step["release_tick"] * tick
        released = counters.take(quota, -step["release_amount"])
        assert (-released.amount, released.remaining) == (
            step["expect_released"],
            step["expect_available_after"],
        ), step


def test_a_rolling_window_allocates_and_releases_what_memquota_does(counters: Counted) -> None:
    case = CASES["memquota_alloc_release"]
    quotas = {}
    for quota in case["quotas"]:
        # Mixer's that never expires lasts as long here as any can.
        window = quota["valid_duration_s"] * SECOND or MAX_WINDOW_US
        tick = SECOND // 10 if quota["valid_duration_s"] else 0
        limit = quota["max_amount"]
        quotas[quota["name"]] = Quota("rolling-window", limit, window, limit, tick)
    for step in case["steps"]:
        counters.clock.now_us = NOON_US + step["at_s"] * SECOND
        quota, alloc, release = quotas[step["quota"]], step["alloc"], step["release"]
        grant = counters.take(
            quota,
            alloc["amount"],
            step["quota"],
            best_effort=alloc["best_effort"],
            dedup=Dedup("mixer", alloc["dedup_id"]),
        )
        assert grant.amount == alloc["expect_amount"], step
        given = counters.take(
            quota, release["amount"], step["quota"], dedup=Dedup("mixer", release["dedup_id"])
        )
        assert -given.amount == release["expect_amount"], step


@pytest.mark.parametrize("case", CASES["redisquota_handle_quota"], ids=lambda case: case["name"])
def test_a_window_allocates_what_redisquota_does(counters: Counted, case: dict[str, Any]) -> None:
    window, tick = (case[f"{name}_duration_s"] * SECOND for name in ("valid", "bucket"))
    quota = Quota(NAMES[case["algorithm"]], case["max_amount"], window, case["max_amount"], tick)
    fixed = quota.algorithm == "fixed-window"
    first: dict[str, int] = {}
    for step in case["requests"]:
        at_s, dedup_id = step["at_s"], step["dedup_id"]
        # Mixer remembers an id until its window ends; here it is a minute.
        if at_s >= first.get(dedup_id, -window) + case["valid_duration_s"]:
            first[dedup_id] = at_s
        elif dedup_id and at_s >= first[dedup_id] + 60:
            continue
        dedup = Dedup("mixer", f"{dedup_id} {first[dedup_id]}") if dedup_id else None
        # The fixed cases' first use, at second 1, is the start of a window.
        counters.clock.now_us = NOON_US + (at_s - fixed) * SECOND
        expected = step["expect_amount"], step["expect_valid_duration_s"]
        expected = OTHERWISE.get((case["name"], at_s), expected)
        grant = counters.take(quota, step["amount"], best_effort=step["best_effort"], dedup=dedup)
        assert grant.amount == expected[0], step
        if fixed and grant.granted:
            assert grant.reset_us == expected[1] * SECOND, step


@pytest.mark.parametrize("name", NAMES)
def test_an_untouched_window_allocates_what_redisquota_does(counters: Counted, name: str) -> None:
    cases = CASES["redisquota_integration"]
    window, tick = (cases[f"{name}_duration_s"] * SECOND for name in ("valid", "bucket"))
    fixed = name == "FIXED_WINDOW"
    for number, case in enumerate(cases["cases"]):
        limit = case["max_amount"]
        quota = Quota(NAMES[name], limit, window, limit, 0 if fixed else tick)
        grant = counters.take(quota, case["amount"], str(number), best_effort=case["best_effort"])
        assert grant.amount == case["expect_amount"], case
        if grant.granted:
            assert grant.reset_us == case["expect_valid_duration_s"] * SECOND, case
