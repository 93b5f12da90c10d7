"""Real Envoys that count by themselves, each with its share of a quota, under more load than that.

They stay up from test to test, and each test leaves the quota as it found it.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.collector.quota_mesh import QuotaMesh, after, quota_mesh
from tests.waiting import eventually

LIMIT = 40
RULE = f"forty-{uuid.uuid4().hex[:8]}"
DENY = f"closed-{uuid.uuid4().hex[:8]}"
USERS = f"users-{uuid.uuid4().hex[:8]}"
IN_FORCE_S = 2.0


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[QuotaMesh]:
    """Three Envoys, each offered more than the whole limit."""
    with quota_mesh(tmp_path_factory.mktemp("mesh"), redis_url) as made:
        made.rule(
            kind="quota", name=RULE, match='destination.service == "cart.shop"',
            limit=LIMIT, window=1,
        )  # fmt: skip
        for _ in range(3):
            made.join()
        yield made


def fair(counts: list[int]) -> bool:
    return min(counts) > 0 and max(counts) <= 1.2 * min(counts)


def kept(mesh: QuotaMesh) -> bool:
    """At most limit x T and one refill, in any time so far. Each first request passes unasked."""
    return mesh.excess(LIMIT) <= LIMIT + len(mesh.envoys)


def test_they_keep_the_limit_together_and_share_it_fairly(mesh):
    start_s = after(5.5)  # each has reported
    end_s = after(5)
    counts = mesh.passed(start_s, end_s)
    assert fair(counts), counts
    assert 0.85 * LIMIT * (end_s - start_s) < sum(counts) <= LIMIT * (end_s - start_s) + LIMIT
    assert kept(mesh)
    assert all(envoy.load.denied and not envoy.load.others for envoy in mesh.envoys)


def test_what_was_allowed_and_denied_is_counted_by_rule(mesh):
    seen = (
        [len(envoy.load.denied) for envoy in mesh.envoys],
        [len(envoy.load.passed) for envoy in mesh.envoys],
    )

    def counted(answer: str) -> float:
        return mesh.counters.moved("shared_quota_requests", rule=RULE, answer=answer)

    eventually(lambda: counted("denied") >= sum(seen[0]) and counted("allowed") >= sum(seen[1]) - 3)
    answered = sum(len(envoy.load.denied) + len(envoy.load.passed) for envoy in mesh.envoys)
    assert counted("denied") + counted("allowed") <= answered + len(mesh.envoys)


def test_a_collector_that_is_killed_and_comes_back_changes_nothing(mesh):
    mesh.collector.kill()
    down_s = time.monotonic()
    up_s = after(2.5)
    counts = mesh.passed(down_s, up_s)
    assert sum(counts) <= LIMIT * (up_s - down_s) + LIMIT
    assert all(counts)
    mesh.collector.start()
    start_s = after(5.5)  # all have reported to it
    end_s = after(2.5)
    assert fair(mesh.passed(start_s, end_s))
    assert kept(mesh)


def test_what_one_leaves_the_others_have_and_who_joins_gets_its_part(mesh):
    gone = mesh.envoys.pop()
    gone.leave()
    now_s = time.monotonic

    def have_it_all() -> bool:
        return sum(mesh.passed(now_s() - 2)) > 0.88 * LIMIT * 2

    assert sum(mesh.passed(after(1) - 1)) < 0.8 * LIMIT
    eventually(have_it_all, timeout_s=25)
    mesh.join()
    eventually(lambda: fair(mesh.passed(now_s() - 4)), timeout_s=25)
    assert sum(mesh.passed(now_s() - 4)) <= LIMIT * 4 + LIMIT


def test_a_changed_limit_is_in_force_within_two_seconds(mesh):
    mesh.change(RULE, limit=LIMIT // 2)
    start_s = after(IN_FORCE_S)
    end_s = after(2)
    assert sum(mesh.passed(start_s, end_s)) <= LIMIT // 2 * (end_s - start_s) + LIMIT // 2
    mesh.change(RULE, limit=LIMIT)
    start_s = after(IN_FORCE_S)
    end_s = after(2)
    assert sum(mesh.passed(start_s, end_s)) > 0.8 * LIMIT * (end_s - start_s)


def test_a_deny_rule_refuses_all_within_two_seconds_and_so_does_its_end(mesh):
    mesh.rule(kind="deny", name=DENY, match='destination.service == "cart.shop"')
    start_s = after(IN_FORCE_S)
    assert mesh.passed(start_s, after(1)) == [0, 0, 0]
    mesh.remove(DENY)
    after(IN_FORCE_S)
    start_s = time.monotonic()
    assert all(mesh.passed(start_s, after(1)))


def test_a_request_without_the_headers_of_a_bucket_is_counted_too(mesh):
    """Envoy lets pass uncounted what its bucket cannot be made of."""
    mesh.rule(
        kind="quota", name=USERS, match='destination.service == "pay.shop"', limit=5, window=1,
        dimensions=['ratelimit.descriptor["user"]'],
    )  # fmt: skip
    users = ({}, {"x-user": "ada"}, {"x-user": "\u00ff"}, {"x-user": "x" * 300})
    with ExitStack() as owned:
        envoys = [mesh.envoy("pay.shop", headers) for headers in users]
        for envoy in envoys:
            owned.callback(envoy.leave)
        start_s = after(3)
        end_s = after(4)
    nobody, ada, *odd = (envoy.passed(start_s, end_s) for envoy in envoys)
    assert 0 < ada <= 5 * 4 + 5
    # Those whose header is not there, or is no plain text, are one.
    assert 0 < nobody + sum(odd) <= 5 * 4 + 5
