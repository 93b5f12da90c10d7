"""The demo's books."""

from dataclasses import replace

import pytest

from demo.books import totals
from demo.counters import SidecarCounters, counters, parsed
from demo.reconcile import Accounts, disagreements
from demo.stored import Stored

AGREED = Accounts(
    envoy=SidecarCounters(requests=100, allowed=90, denied=10, spans_sent=300),
    checks=100,
    stored=Stored(requests=100, denied=10, spans=300),
)


def test_equal_books_agree() -> None:
    assert disagreements(AGREED) == []


@pytest.mark.parametrize(
    ("accounts", "sentence"),
    [
        (
            replace(AGREED, stored=replace(AGREED.stored, requests=98)),
            "requests differ by -2: Envoys completed 100, 98 are stored",
        ),
        (
            replace(AGREED, stored=replace(AGREED.stored, denied=11)),
            "denials differ by +1: Envoys saw 10, 11 are stored",
        ),
        (
            replace(AGREED, checks=99),
            "checks differ by -1: Envoys saw answered 100, 99 are counted",
        ),
        (
            replace(AGREED, stored=replace(AGREED.stored, spans=301)),
            "spans differ by +1: Envoys sent 300, 301 are stored",
        ),
        (replace(AGREED, stored=replace(AGREED.stored, duplicates=3)), "3 rows are stored twice"),
        (replace(AGREED, stored=replace(AGREED.stored, dead_letters=1)), "1 items were refused"),
    ],
)
def test_unequal_books_are_explained(accounts: Accounts, sentence: str) -> None:
    assert disagreements(accounts) == [sentence]


def test_nothing_at_all_is_no_agreement() -> None:
    assert disagreements(Accounts(SidecarCounters(), 0, Stored())) == [
        "the Envoys completed no request"
    ]


@pytest.mark.parametrize(("checks", "agree"), [(100, True), (102, True), (103, False)])
def test_a_check_given_up_by_envoy_may_be_counted_or_not(checks: int, agree: bool) -> None:
    envoy = replace(AGREED.envoy, unanswered=2)
    assert (disagreements(replace(AGREED, envoy=envoy, checks=checks)) == []) is agree


def test_envoys_counters_are_read_from_its_statistics() -> None:
    text = """\
access_logs.grpc_access_log.grpc_entries_flushed: 7
access_logs.grpc_access_log.logs_written: 9
cluster.app.ext_authz.denied: 5
cluster.app.ratelimit.error: 1
cluster.app.ratelimit.ok: 4
cluster.app.ratelimit.over_limit: 2
http.inbound.downstream_rq_completed: 20
http.inbound.ext_authz.denied: 5
http.inbound.ext_authz.ok: 8
http.outbound.downstream_rq_completed: 99
tracing.opentelemetry.spans_sent: 40
http.inbound.downstream_rq_time: P0(1,1) P25(2,2) P100(3,3)
"""
    assert counters(parsed(text)) == SidecarCounters(
        requests=20, allowed=12, denied=7, unanswered=1, spans_sent=40, logs_held=2
    )


def test_counters_of_several_sidecars_add_up() -> None:
    one = SidecarCounters(requests=1, allowed=2, logs_held=3)
    assert one + one == SidecarCounters(requests=2, allowed=4, logs_held=6)


def test_rows_of_an_earlier_run_do_not_count() -> None:
    assert Stored(5, 4, 3, 2, 1) - Stored(1, 1, 1, 1, 1) == Stored(4, 3, 2, 1, 0)


def test_the_collectors_numbers_are_summed_over_their_labels() -> None:
    text = """\
# HELP meshmeter_checks Checks answered
# TYPE meshmeter_checks counter
meshmeter_checks_total{protocol="rls",outcome="allowed"} 3.0
meshmeter_checks_total{protocol="ext_authz",outcome="denied"} 4.0
meshmeter_checks_created{protocol="rls",outcome="allowed"} 1.7e+09
meshmeter_outbox_pending_requests 0.0
# EOF
"""
    names = ("meshmeter_checks_total", "meshmeter_outbox_pending_requests", "meshmeter_other")
    assert totals(text, names) == {
        "meshmeter_checks_total": 7.0,
        "meshmeter_outbox_pending_requests": 0.0,
        "meshmeter_other": 0.0,
    }
