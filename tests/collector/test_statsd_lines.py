"""A line of statsd is samples, or says why it is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.statsd.lines import BadLine, Kind, Sample, Series, samples


def only(line):
    (sample,) = samples(line)
    return sample


def named(kind, *tags, name="hits"):
    return Series(name, kind, tags)


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        (b"hits:1|c", Sample(named(Kind.COUNTER), 1)),
        (b"hits:-2.5|c", Sample(named(Kind.COUNTER), -2.5)),
        (b"hits:3|m", Sample(named(Kind.COUNTER), 3)),
        (b"hits:7|g", Sample(named(Kind.GAUGE), 7)),
        (b"hits:+7|g", Sample(named(Kind.GAUGE), 7, change=True)),
        (b"hits:-7|g", Sample(named(Kind.GAUGE), -7, change=True)),
        (b"hits:320|ms", Sample(named(Kind.TIMER), 320)),
        (b"hits:1e3|h", Sample(named(Kind.HISTOGRAM), 1000)),
        (b"hits:2|d", Sample(named(Kind.HISTOGRAM), 2)),
        (b"hits:ada|s", Sample(named(Kind.SET), member="ada")),
        (b"hits:a:b|s", Sample(named(Kind.SET), member="a:b")),
        (b"hits:1|c|@0.01", Sample(named(Kind.COUNTER), 1, weight=100)),
        (b"hits:1|ms|@0.5|#a:b", Sample(named(Kind.TIMER, ("a", "b")), 1, weight=2)),
        (b"hits:1|g|@0.5", Sample(named(Kind.GAUGE), 1)),
        (b"hits:1|c|#z:1,a:x:y", Sample(named(Kind.COUNTER, ("a", "x:y"), ("z", "1")), 1)),
        (b"hits:1|c|#flag", Sample(named(Kind.COUNTER, ("flag", "")), 1)),
        (b"hits:1|c|#a:1,a:2,", Sample(named(Kind.COUNTER, ("a", "2")), 1)),
        (b"hits:1|c|#", Sample(named(Kind.COUNTER), 1)),
        (b"hits:1|c|c:abc|T1656581400|e:pod", Sample(named(Kind.COUNTER), 1)),
    ],
    ids=repr,
)
def test_a_line_is_a_sample(line, sample):
    assert only(line) == sample


def test_a_line_may_hold_several_values():
    assert [sample.value for sample in samples(b"t:1:2:3.5|ms|@0.5")] == [1, 2, 3.5]
    assert [sample.change for sample in samples(b"t:1:+2|g")] == [False, True]


def test_a_name_is_what_was_sent():
    name = "rt.http.service._svc_web.requests"
    assert only(f"{name}:1|c".encode()).series.name == name
    assert only("größe:1|c".encode()).series.name == "größe"
    assert only(b"gr\xff:1|c").series.name == "gr�"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hits", "malformed"),
        (b"hits:1", "malformed"),
        (b":1|c", "malformed"),
        (b"|c", "malformed"),
        (b"h" * 1025 + b":1|c", "malformed"),
        (b"hits:1|", "unknown_type"),
        (b"hits:1|x", "unknown_type"),
        (b"hits:|c", "bad_value"),
        (b"hits:x|c", "bad_value"),
        (b"hits:1:|c", "bad_value"),
        (b"hits:nan|g", "bad_value"),
        (b"hits:-inf|ms", "bad_value"),
        (b"hits:1e999|h", "bad_value"),
        (b"hits:1_000|c", "bad_value"),
        (b"hits:1|c|@0", "bad_rate"),
        (b"hits:1|c|@2", "bad_rate"),
        (b"hits:1|c|@-1", "bad_rate"),
        (b"hits:1|c|@x", "bad_rate"),
        (b"hits:1|c|@nan", "bad_rate"),
        (b"hits:1|c|#" + b"x" * 4096, "too_long"),
        (b"_e{5,4}:title|text", "not_a_metric"),
        (b"_sc|name|0", "not_a_metric"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_line_says_why(line, reason):
    with pytest.raises(BadLine) as refused:
        samples(line)
    assert refused.value.reason == reason


def test_tags_keep_to_the_limits():
    tags = ",".join(f"k{number}:v" for number in range(300))
    kept = dict(only(f"hits:1|c|#{tags}".encode()).series.tags)
    assert len(kept) == 129
    assert kept["meshmeter.dropped_attributes"] == "172"


@given(st.binary(max_size=80))
def test_whatever_comes_is_samples_or_a_bad_line(line):
    try:
        found = samples(line)
    except BadLine:
        return
    assert found
