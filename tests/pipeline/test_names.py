"""The budget of names: who has a place, who keeps it, and that a group is always told the same."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from collector.decoders import decode_group
from collector.decoders.names import NAME_WAS, OTHER, SERVICE_WAS
from collector.model import Names, Report, Signal
from collector.outbox import NameLimits, Outbox
from tests.collector.messages import http_logs, identifier, span, traces
from tests.collector.reports import report
from tests.pipeline.reports import append
from tests.pipeline.reports import report as any_report

MIB = 1024 * 1024
HOUR_S = 3600


class Clock:
    now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def opened(directory: Path, clock: Clock) -> Iterator[Outbox]:
    limits = NameLimits(services=3, operations=2)
    outbox = Outbox(directory, 64 * MIB, ballast_bytes=MIB, clock=clock, names=limits)
    try:
        yield outbox
    finally:
        outbox.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(tmp_path: Path, clock: Clock) -> Iterator[Outbox]:
    with opened(tmp_path, clock) as found:
        yield found


def group(outbox: Outbox) -> int:
    append(outbox, any_report(b"%d" % id(object()), f"{outbox.stats().pending_requests}"))
    return outbox.freeze_group(MIB)


def sent(client: str, *services: str) -> Names:
    return {"service": {client: list(services)}}


def asked(outbox: Outbox, names: Names) -> Names:
    return {kind: over for kind, over in outbox.over(group(outbox), names).items() if over}


def test_a_sender_has_so_many_services_and_another_as_many_more(outbox):
    assert asked(outbox, sent("a", "s1", "s2")) == {}
    assert asked(outbox, sent("a", "s4", "s2", "s5", "s6")) == sent("a", "s5", "s6")
    assert asked(outbox, sent("b", "s5")) == {}
    # A name that somebody brought already is no new one.
    assert asked(outbox, sent("a", "s5", "s6")) == sent("a", "s6")
    (told,) = outbox.turned_away()
    assert told == ("service", "a", 3, 3, 3, "s6")


def test_a_service_has_so_many_operations_and_without_a_place_none(outbox):
    names = {
        "service": {"a": ["s1", "s2", "s3", "s4"]},
        "operation": {"s1": ["x", "y", "z"], "s4": ["x"]},
    }
    over = {"service": {"a": ["s4"]}, "operation": {"s1": ["z"]}}
    assert asked(outbox, names) == over


def test_all_senders_together_have_twenty_times_as_many(outbox):
    for number in range(20):
        services = [f"s{number}-{each}" for each in range(3)]
        assert asked(outbox, sent(f"client-{number}", *services)) == {}
    assert asked(outbox, sent("one more", "s")) == sent("one more", "s")


def test_a_group_is_told_the_same_whenever_it_asks(outbox, clock, tmp_path):
    late = group(outbox)
    names = sent("a", "s1", "s2", "s3", "s4")
    over = outbox.over(late, names)
    assert over["service"] == {"a": ["s4"]}
    clock.now_s += 2 * HOUR_S
    assert asked(outbox, sent("a", "s5", "s6", "s7")) == {}  # the places are free again
    assert outbox.over(late, names) == over
    outbox.close()
    with opened(tmp_path, clock) as again:
        assert again.over(late, names) == over


def test_who_has_a_place_keeps_it_over_a_restart_and_while_it_is_used(outbox, clock, tmp_path):
    assert asked(outbox, sent("a", "s1", "s2", "s3")) == {}
    outbox.close()
    with opened(tmp_path, clock) as again:
        assert asked(again, sent("a", "new", "s1")) == sent("a", "new")
        clock.now_s += HOUR_S - 1
        assert asked(again, sent("a", "s1")) == {}
        clock.now_s += 2
        assert asked(again, sent("a", "n1", "n2", "n3", "s1")) == sent("a", "n3")
    with opened(tmp_path, clock) as once_more:
        assert asked(once_more, sent("a", "n1", "n2", "s1", "s2")) == sent("a", "s2")


def test_a_group_that_is_gone_leaves_no_answer(outbox, clock):
    outbox.over(4711, sent("a", "s1"))
    done = group(outbox)
    outbox.over(done, sent("a", "s1"))
    outbox.mark_done(done)
    clock.now_s += HOUR_S
    outbox.purge()
    kept = outbox._file.connection.execute("SELECT count(*) FROM verdicts").fetchone()
    assert kept == (0,)


def groups_reports() -> list[Report]:
    of_a = report(traces(span(name="x"), span(name="y"), service="a"), Signal.OTLP_TRACES)
    of_b = report(traces(span(name="x"), service="b"), Signal.OTLP_TRACES)
    log = report(http_logs("/", sender=identifier()), Signal.ALS)
    now_ns = time.time_ns()
    return [replace(of, identity="sender", received_ns=now_ns) for of in (of_a, of_b, log)]


def test_what_has_no_place_is_stored_under_another_name_and_says_which_it_had():
    asked_for: list[Names] = []

    def over(names: Names) -> Names:
        asked_for.append(names)
        return {"service": {"sender": ["b"]}, "operation": {"a": ["y"]}}

    spans = decode_group(groups_reports(), 1, over).tables["spans"]
    (names,) = asked_for
    assert names["operation"] == {"a": ["x", "y"], "b": ["x"]}
    assert names["service"]["sender"][:2] == ["a", "b"]
    assert list(zip(spans["service"], spans["name"], strict=True)) == [
        ("a", "x"),
        ("a", OTHER),
        (OTHER, OTHER),
    ]
    assert [attributes.get(NAME_WAS) for attributes in spans["attributes"]] == [None, "y", "x"]
    assert [attributes.get(SERVICE_WAS) for attributes in spans["attributes"]] == [None, None, "b"]


def test_a_request_has_no_place_by_either_end():
    reports = groups_reports()[2:]
    plain = decode_group(reports, 1).tables["requests"]
    (destination,) = plain["destination"]

    def over(names: Names) -> Names:
        return {"service": {"sender": [destination]}, "operation": {}}

    requests = decode_group(reports, 1, over).tables["requests"]
    assert requests["destination"] == [OTHER]
    assert requests["source"] == plain["source"]
    assert requests["tags"][0]["meshmeter.destination"] == destination


def test_reports_without_names_ask_nothing():
    def over(_names: Names) -> Names:
        raise AssertionError("asked")

    assert decode_group([any_report(b"{}")], 1, over).counts == {"dead_letters": 1}
