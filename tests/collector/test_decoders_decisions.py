"""The decision log's lines become rows; a line that is none is a dead letter."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decoders import decode_group
from collector.decoders.decisions import READERS
from collector.model import Signal
from collector.store.client import Store
from collector.store.tables import DecisionRow
from tests.collector.reports import NOW_NS, report

DECISION = {
    "time": NOW_NS,
    "id": "d-1",
    "allowed": False,
    "rule": "no-guests",
    "rule_version": 3,
    "snapshot_version": 7,
    "decided_by": "quota",
    "reason": "limit of 5",
    "http_status": 429,
    "protocol": "envoy.ext_authz",
    "source": "a.default",
    "destination": "b.default",
    "source_principal": "",
    "method": "GET",
    "path": "/items",
    "request_id": "r-1",
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "quota_limit": 5,
    "quota_remaining": 0,
    "quota_granted": 0,
    "quota_key": "a.default",
    "quota_override": "guests",
    "attributes": {"source.service": "a.default"},
    "beside_rule": ["guests", "calm"],
    "beside_version": [2, 3],
    "beside_allowed": [1, 0],
    "beside_live": [-1, 1],
    "beside_key": ["", "a.default"],
    "weight": 100.0,
}


def decode(*lines):
    body = b"\n".join(
        line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines
    )
    return decode_group([report(body, Signal.DECISIONS)], 1)


def only(decision):
    decoded = decode(decision)
    assert decoded.dead == []
    return {name: values[0] for name, values in decoded.tables["decisions"].items()}


def test_a_line_is_a_row():
    trace_id = bytes.fromhex(DECISION["trace_id"])
    assert only(DECISION) == DECISION | {"allowed": 0, "trace_id": trace_id, "_group": 1}


def test_every_column_can_be_read():
    assert tuple(READERS) == DecisionRow._fields


def test_what_a_line_leaves_out_is_nothing_and_what_is_new_is_left_out():
    row = only({"time": NOW_NS, "id": "d", "allowed": True, "later": [1]})
    assert (row["allowed"], row["quota_limit"], row["trace_id"], row["attributes"]) == (
        1,
        -1,
        bytes(16),
        {},
    )


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"time": ' + b"9" * 5000 + b"}",
        {"id": "d", "allowed": True},
        DECISION | {"allowed": "yes"},
        DECISION | {"time": "now"},
        DECISION | {"time": 2**70},
        DECISION | {"trace_id": "abc"},
        DECISION | {"trace_id": "00" * 15},
        DECISION | {"rule_version": -1},
        DECISION | {"weight": "heavy"},
        DECISION | {"weight": float("nan")},
        DECISION | {"attributes": ["a"]},
        DECISION | {"attributes": {"a": 1}},
    ],
)
def test_a_line_that_is_no_decision_is_a_dead_letter_and_its_neighbours_are_kept(wrong):
    decoded = decode(DECISION, wrong, DECISION)
    assert decoded.counts == {"decisions": 2, "dead_letters": 1}
    assert decoded.dead[0].reason == "unreadable"


def test_an_old_decision_is_a_dead_letter():
    assert [letter.reason for letter in decode(DECISION | {"time": 1}).dead] == ["no_time"]


def test_a_decision_made_before_the_clock_was_set_back_is_of_when_it_was_told():
    hour_ns = 3_600_000_000_000
    assert only({**DECISION, "time": NOW_NS + hour_ns}) == only(DECISION)


def test_a_lone_surrogate_is_no_text_and_is_replaced():
    assert only(DECISION | {"reason": "\ud800"})["reason"] == "?"


def test_rows_are_stored_as_they_were_told(store_url):
    decoded = decode(DECISION, {"time": NOW_NS, "id": "d-2", "allowed": True})
    with Store(store_url) as store:
        store.insert("decisions", decoded.tables["decisions"], token="t")
        rows = store.rows(
            "SELECT id, allowed, lower(hex(trace_id)), attributes, weight "
            "FROM decisions ORDER BY id"
        )
    assert rows == [
        ("d-1", 0, DECISION["trace_id"], DECISION["attributes"], 100.0),
        ("d-2", 1, "0" * 32, {}, 1.0),
    ]


@settings(max_examples=200)
@given(st.binary())
def test_whatever_bytes_come_every_line_is_a_row_or_a_dead_letter(body):
    decoded = decode_group([report(body, Signal.DECISIONS)], 1)
    assert sum(decoded.counts.values()) == len(body.splitlines())
