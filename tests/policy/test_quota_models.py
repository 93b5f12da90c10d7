"""Every algorithm does what its plain model does."""

import math
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.errors import InvalidRule
from policy.quota import ALGORITHMS, Grant, Quota, Take
from policy.quota.memory import MemoryCounters
from tests.policy.counted import Clock
from tests.policy.quota_models import MODELS, Model

LIMIT = 10**6
UNITS = ("minute", "hour", "day", "week", "month", "year")


class Step(NamedTuple):
    """After a while so much is taken, or negative: given back."""

    wait_us: int
    amount: int
    best_effort: bool


SMALL = st.integers(1, 10)
AMOUNTS = st.one_of(st.integers(0, 3), st.integers(-3, 12), st.integers(-LIMIT, LIMIT + 1))


@st.composite
def quotas(draw: Any, name: str) -> Quota:
    limits = st.one_of(SMALL, st.integers(1, LIMIT))
    limit = draw(limits)
    if name == "calendar-window":
        unit = draw(st.sampled_from(UNITS))
        return Quota(name, limit, 0, limit, unit=unit, time_zone="Europe/Berlin")
    window_us = draw(st.one_of(SMALL, st.integers(1, 1000), st.integers(1, 10**11)))
    burst = draw(limits) if name == "token-bucket" else limit
    ticks = draw(st.one_of(SMALL, st.integers(1, 600)))
    tick_us = math.ceil(window_us / ticks) if name == "rolling-window" else 0
    return Quota(name, limit, window_us, burst, tick_us)


@st.composite
def cases(draw: Any, name: str) -> tuple[Quota, list[Step]]:
    """A quota, and what happens to it: often just before, at or after where something changes."""
    quota = draw(quotas(name))
    edges = [quota.window_us, quota.tick_us or quota.window_us // 100, quota.window_us // 3]
    near = st.builds(
        lambda edge, times, by: max(edge * times + by, 0),
        st.sampled_from(edges), st.integers(0, 3), st.integers(-1, 1),
    )  # fmt: skip
    waits = st.one_of(near, near, st.integers(0, 10**6), st.integers(0, 10**13))
    return quota, draw(st.lists(st.builds(Step, waits, AMOUNTS, st.booleans()), max_size=30))


def expected(model: Model, step: Step, now_us: int) -> tuple[bool, int, int]:
    """Whether it is granted, what remains, and how much was counted."""
    amount, capacity = step.amount, model.quota.burst
    if amount < 0:
        given = model.give_back(-amount, now_us)
        return True, max(capacity - model.used(now_us), 0), -given
    if step.best_effort and not model.grants(amount, now_us):
        amount = min(amount, max(capacity - model.used(now_us), 0)) or amount
    granted = model.grants(amount, now_us)
    if granted:
        model.count(amount, now_us)
    return granted, max(capacity - model.used(now_us), 0), amount if granted else 0


def check_times(model: Model, amount: int, grant: Grant, now_us: int) -> None:
    """What is told to wait for comes when it is told, and not before."""
    assert model.used(now_us + grant.reset_us) == 0
    if grant.retry_after_us > 0:
        assert model.grants(amount, now_us + grant.retry_after_us)
        assert not model.grants(amount, now_us + grant.retry_after_us - 1)
    else:
        assert (grant.retry_after_us == -1) == (not grant.granted and amount > model.quota.burst)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_does_what_its_model_does(name: str) -> None:
    @settings(deadline=None, max_examples=150, derandomize=True)
    @given(case=cases(name))
    def agree(case: tuple[Quota, list[Step]]) -> None:
        quota, steps = case
        try:
            ALGORITHMS[name].check(quota)
        except InvalidRule:
            return
        clock, model = Clock(), MODELS[name](quota)
        counters = MemoryCounters(clock)
        for step in steps:
            clock.now_us += step.wait_us
            take = (Take("k", quota, step.amount),)
            grant = counters.charge_now(take, best_effort=step.best_effort)[0]
            said = grant.granted, grant.remaining, grant.amount
            assert said == expected(model, step, clock.now_us)
            check_times(model, step.amount, grant, clock.now_us)

    agree()
