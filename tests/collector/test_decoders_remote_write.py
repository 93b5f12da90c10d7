"""Prometheus' samples become points, the same from either version of remote write."""

import math
import struct

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decoders import decode_group
from collector.decoders.remote_series import MAX_SERIES_BYTES
from collector.decoders.remote_write import inspect
from collector.errors import Malformed, TooLarge
from collector.model import Report, Signal
from collector.proto import remote_write_pb2 as pb
from tests.collector import prometheus_capture
from tests.collector.write_requests import (
    NOW_MS,
    field,
    histogram,
    sample,
    series,
    version_1,
    version_2,
)

NOW_NS = NOW_MS * 10**6
DAY_MS = 86_400 * 1000
STALE = struct.unpack(">d", bytes.fromhex("7ff0000000000002"))[0]


def decode(body, signal=Signal.REMOTE_WRITE, received_ns=NOW_NS):
    return decode_group([Report(signal, body, received_ns, "10.0.0.9")], 1)


def decode_2(*found, **told):
    return decode(version_2(*found, **told), Signal.REMOTE_WRITE_V2)


def rows(decoded):
    assert decoded.dead == []
    table = decoded.tables["metric_points"]
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]


def only(decoded):
    (row,) = rows(decoded)
    return row


def both(*found):
    """Decoded from either version, which must agree."""
    one, two = decode(version_1(*found)), decode_2(*found)
    assert one.tables == two.tables
    return one


def test_a_sample_is_a_point():
    row = only(both(series("http_requests_total", sample(42.5), code="200")))
    assert {
        key: value for key, value in row.items() if value not in (0, 0.0, "", None, (), [])
    } == {
        "time": NOW_NS,
        "metric": "http_requests_total",
        "kind": "sum",
        "temporality": "cumulative",
        "monotonic": 1,
        "service": "shop",
        "node": "10.0.0.9",
        "sender": row["sender"],
        "series": row["series"],
        "attributes": {"code": "200"},
        "resource": {"service.name": "shop", "service.instance.id": "10.0.0.5:80"},
        "double": 42.5,
        "_group": 1,
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("http_requests_total", "sum"),
        ("lat_seconds_bucket", "sum"),
        ("lat_seconds_count", "sum"),
        ("lat_seconds_sum", "sum"),
        ("queue_depth", "gauge"),
        ("up", "gauge"),
        ("job:http_requests_total", "gauge"),  # a recording rule's
        ("rt:service:requests", "sum"),
        ("rt:server:success", "sum"),
        ("rt:service:request_latency_ms_count", "gauge"),  # of the last minute
        ("rt:service:request_latency_ms", "gauge"),
    ],
)
def test_what_a_series_is_its_name_tells(name, kind):
    row = only(both(series(name, sample(1))))
    assert row["kind"] == kind
    assert row["temporality"] == ("cumulative" if kind == "sum" else "none")


@pytest.mark.parametrize(
    ("type_", "name", "kind"),
    [
        (pb.COUNTER, "hits", "sum"),
        (pb.GAUGE, "hits_total", "gauge"),
        (pb.HISTOGRAM, "lat_bucket", "sum"),
        (pb.SUMMARY, "lat_count", "sum"),
        (pb.SUMMARY, "lat", "gauge"),
        (pb.GAUGEHISTOGRAM, "lat_bucket", "gauge"),
        (pb.INFO, "build_info", "gauge"),
        (pb.UNKNOWN, "hits_total", "sum"),
    ],
)
def test_what_a_series_is_is_believed_when_it_is_told(type_, name, kind):
    found = series(name, sample(1))
    assert only(decode_2(found, type_=type_))["kind"] == kind
    told = pb.Metadata(type=type_, metric_family_name=name.removesuffix("_bucket"), unit="ms")
    row = only(decode(version_1(found, metadata=(told,))))
    assert (row["kind"], row["unit"] in ("ms", "")) == (kind, True)


def test_the_unit_is_the_one_told():
    told = pb.Metadata(type=pb.HISTOGRAM, metric_family_name="lat", unit="seconds")
    assert (
        only(decode(version_1(series("lat_sum", sample(1)), metadata=(told,))))["unit"] == "seconds"
    )
    assert only(decode_2(series("lat_sum", sample(1)), unit="seconds"))["unit"] == "seconds"


def test_the_time_counting_began_is_the_points_or_the_series():
    at_ms = NOW_MS - 5000
    assert only(decode_2(series("a_total", sample(1)), created_ms=at_ms))["start"] == at_ms * 10**6
    own = series("a_total", sample(1, start_timestamp=at_ms + 1))
    assert only(decode_2(own, created_ms=at_ms))["start"] == (at_ms + 1) * 10**6
    late = series("a_total", sample(1, start_timestamp=NOW_MS + 1))
    assert only(decode_2(late))["start"] == NOW_NS
    assert only(both(series("a_total", sample(1))))["start"] == 0


@pytest.mark.parametrize(
    ("value", "double", "non_finite"),
    [(math.nan, 0.0, "nan"), (math.inf, 0.0, "inf"), (-math.inf, 0.0, "-inf"), (1e308, 1e308, "")],
)
def test_what_is_no_number_is_kept_beside_the_numbers(value, double, non_finite):
    row = only(both(series("depth", sample(value))))
    assert (row["double"], row["non_finite"]) == (double, non_finite)


def test_that_a_series_has_ended_is_no_point():
    gone = histogram(sum=STALE)
    decoded = both(series("depth", sample(STALE)), series("lat", histograms=(gone,)))
    assert (decoded.counts, decoded.skipped, decoded.dead) == ({}, 2, [])


def test_series_are_told_apart_by_every_label_and_by_who_measured():
    found = rows(
        both(
            series("a", sample(1), sample(2, NOW_MS + 1)),
            series("a", sample(1), zone="x"),
            series("b", sample(1)),
            series("a", sample(1), instance="10.0.0.6:80"),
        )
    )
    assert len({row["series"] for row in found}) == 4
    assert found[0]["series"] == found[1]["series"]
    assert len({row["sender"] for row in found}) == 2


def test_without_an_instance_it_is_who_sends_that_measures():
    found = series("a", sample(1), instance="", job="")
    row = only(both(found))
    assert (row["service"], row["resource"]) == ("unknown", {})
    other = decode_group(
        [Report(Signal.REMOTE_WRITE, version_1(found), NOW_NS, "another prometheus")], 1
    )
    assert only(other)["sender"] != row["sender"]


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"job": "linkerd-proxy", "deployment": "books", "namespace": "shop"}, "books.shop"),
        ({"job": "kubernetes-pods", "app": "books"}, "books"),
        ({"job": "linkerd-proxy"}, "linkerd-proxy"),
        ({"job": "node", "namespace": "shop", "deployment": "books"}, "node"),
        ({"job": ""}, "unknown"),
    ],
)
def test_the_service_is_the_job_or_the_workload_of_a_shared_one(labels, service):
    assert only(both(series("a", sample(1), **labels)))["service"] == service


def test_a_native_histogram_has_buckets_that_end_where_opentelemetrys_do():
    row = only(both(series("lat", histograms=(histogram(),))))
    assert (row["kind"], row["temporality"], row["observations"], row["sum"]) == (
        "exponential_histogram",
        "cumulative",
        7,
        31.5,
    )
    # Bucket i ends at 2^(i + 1): those of (1, 2], (2, 4], (4, 8] and (8, 16].
    assert (row["scale"], row["positive_offset"], list(row["positive"])) == (0, 0, [2, 0, 3, 1])
    assert (row["zero_count"], row["zero_threshold"], list(row["negative"])) == (1, 1e-9, [])


def test_negative_buckets_are_told_too():
    spans = {"negative_spans": [pb.Span(offset=-3, length=2)], "negative_deltas": [5, -4]}
    row = only(both(series("lat", histograms=(histogram(schema=3, **spans),))))
    assert (row["scale"], row["negative_offset"], row["negative"]) == (3, -4, [5, 1])


def test_a_histogram_of_its_own_bounds_has_a_bucket_more_than_bounds():
    custom = histogram(
        schema=-53,
        custom_values=[0.1, 0.5, 1.0],
        positive_spans=[pb.Span(offset=1, length=2)],
        positive_deltas=[4, -1],
    )
    row = only(both(series("lat", histograms=(custom,))))
    assert (row["kind"], list(row["bounds"]), list(row["buckets"])) == (
        "histogram",
        [0.1, 0.5, 1.0],
        [0, 4, 3, 0],
    )


def test_a_histogram_that_does_not_count_on_has_no_temporality():
    hint = histogram(reset_hint=pb.NOT_CUMULATIVE)
    assert only(both(series("lat", histograms=(hint,))))["temporality"] == "none"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"count_float": 1.5}, "fractional"),
        ({"sum": math.inf}, "sum"),
        ({"schema": 9}, "schema 9"),
        ({"schema": -5}, "schema -5"),
        ({"zero_threshold": math.nan}, "zero_threshold"),
        ({"positive_deltas": [1]}, "1 buckets"),
        ({"positive_deltas": [2, -5, 1]}, "less than nothing"),
        (
            {"positive_spans": [pb.Span(offset=1, length=1), pb.Span(offset=-2, length=2)]},
            "overlap",
        ),
        ({"positive_spans": [pb.Span(length=1), pb.Span(offset=2**30, length=2)]}, "1024"),
        ({"schema": -53, "custom_values": [1.0]}, "do not go with 1 bounds"),
        ({"schema": -53, "custom_values": [1.0, 1.0, 2.0, 3.0, 4.0, 5.0]}, "do not rise"),
        ({"schema": -53, "custom_values": [1.0] * 2000}, "2000 bounds"),
    ],
)
def test_a_histogram_that_makes_no_sense_is_a_dead_letter(changes, why):
    good = series("ok", sample(1))
    decoded = decode(version_1(good, series("lat", histograms=(histogram(**changes),)), good))
    assert decoded.counts == {"metric_points": 2, "dead_letters": 1}
    assert decoded.dead[0].reason == "bad_point"
    assert why in decoded.dead[0].detail


@pytest.mark.parametrize(
    ("at_ms", "reason"),
    [
        (0, "no_time"),
        (NOW_MS // 1000, "no_time"),
        (NOW_MS * 1000, "in_the_future"),
        (NOW_MS - 7 * DAY_MS - 1, "too_old"),
        (2**63 - 1, "in_the_future"),
        (-1, "no_time"),
    ],
)
def test_a_time_outside_of_what_is_kept_is_a_dead_letter_with_its_sample_alone(at_ms, reason):
    found = series("a", sample(1), sample(2, at_ms), zone="x")
    alone = sample(2, at_ms)
    for decoded, kind in ((decode(version_1(found)), pb.Series), (decode_2(found), pb.SeriesV2)):
        assert decoded.counts == {"metric_points": 1, "dead_letters": 1}
        (letter,) = decoded.dead
        assert letter.reason == reason
        assert list(kind.FromString(letter.item).samples) == [alone]
    (letter,) = decode(version_1(found)).dead
    assert pb.Series.FromString(letter.item) == series("a", alone, zone="x")


@pytest.mark.parametrize(
    "labels",
    [
        [("job", "x")],
        [("__name__", "")],
        [("__name__", "a"), ("x", "1"), ("x", "2")],
        [("__name__", "a"), ("", "1")],
    ],
    ids=["no name", "an empty name", "one label twice", "a label without a name"],
)
def test_a_series_without_proper_labels_is_a_dead_letter(labels):
    bad = pb.Series(labels=[pb.Label(name=key, value=value) for key, value in labels])
    bad.samples.append(sample(1))
    good = series("ok", sample(1))
    for signal, body in (
        (Signal.REMOTE_WRITE, version_1(good, bad)),
        (Signal.REMOTE_WRITE_V2, version_2(good, bad)),
    ):
        decoded = decode(body, signal)
        assert decoded.counts == {"metric_points": 1, "dead_letters": 1}
        assert decoded.dead[0].reason == "bad_point"
        found = inspect(signal, body, NOW_NS)
        assert (found.items, found.rejected) == (2, 1)


def test_a_series_of_many_bytes_is_a_dead_letter_and_a_long_symbol_is_cut():
    long = series("a", sample(1), zone="z" * MAX_SERIES_BYTES)
    decoded = decode(version_1(series("ok", sample(1)), long))
    assert decoded.counts == {"metric_points": 1, "dead_letters": 1}
    assert str(MAX_SERIES_BYTES) in decoded.dead[0].detail
    assert len(only(decode_2(long))["attributes"]["zone"]) == 4096
    samples = series("a", *[sample(1)] * 5000)
    assert [letter.reason for letter in decode_2(samples).dead] == ["unreadable"]


@pytest.mark.parametrize("references", [[99, 1], [1]], ids=["beyond the symbols", "half a pair"])
def test_references_that_lead_nowhere_are_a_dead_letter(references):
    bad = pb.SeriesV2(labels_refs=references, samples=[sample(1)]).SerializeToString()
    body = version_2(series("ok", sample(1))) + field(5, bad)
    decoded = decode(body, Signal.REMOTE_WRITE_V2)
    assert decoded.counts == {"metric_points": 1, "dead_letters": 1}


def test_text_that_is_not_utf_8_is_repaired_and_an_empty_value_is_no_label():
    body = version_1(series("a", sample(1), zone="BAD?", rack="")).replace(b"BAD?", b"BAD\xff")
    assert only(decode(body))["attributes"] == {"zone": "BAD�"}


def test_limits_are_kept_and_told():
    many = {f"l{number}": "v" for number in range(200)}
    row = only(both(series("n" * 2000, sample(1), **many)))
    assert len(row["metric"]) == 1024
    assert row["attributes"]["meshmeter.dropped_attributes"] == "72"


def test_an_inspection_counts_samples_and_histograms_by_themselves():
    body = version_1(
        series("a", sample(1), sample(2, 0)), series("lat", histograms=(histogram(),)), series("b")
    )
    found = inspect(Signal.REMOTE_WRITE, body, NOW_NS)
    assert (found.items, found.rejected, found.samples, found.histograms) == (3, 1, 1, 1)
    assert "before the year 2000" in found.reasons[0]


def test_metadata_alone_is_nothing():
    body = version_1(metadata=(pb.Metadata(metric_family_name="a"),))
    assert inspect(Signal.REMOTE_WRITE, body, NOW_NS).items == 0
    assert decode(body).tables == {}


@pytest.mark.parametrize("signal", [Signal.REMOTE_WRITE, Signal.REMOTE_WRITE_V2])
@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05abc", b"\x2a", b"\x0a"], ids=repr)
def test_what_is_no_request_is_refused_and_one_dead_letter(signal, body):
    with pytest.raises(Malformed, match="not a write request"):
        inspect(signal, body, NOW_NS)
    assert [letter.reason for letter in decode(body, signal).dead] == ["unreadable"]


MANY = 100_001


@pytest.mark.parametrize(
    ("signal", "body"),
    [
        (Signal.REMOTE_WRITE, b"\x0a\0" * MANY),
        (Signal.REMOTE_WRITE, b"\x1a\0" * MANY),
        (Signal.REMOTE_WRITE, version_1(*[series("a", *[sample(1)] * 1000)] * 101)),
        (Signal.REMOTE_WRITE_V2, b"\x22\0" * MANY),
        (Signal.REMOTE_WRITE_V2, b"\x2a\0" * MANY),
    ],
    ids=["series", "metadata", "samples", "symbols", "series of version 2"],
)
def test_a_bomb_is_refused(signal, body):
    with pytest.raises(TooLarge, match="100000"):
        inspect(signal, body, NOW_NS)


def test_what_a_prometheus_sent_is_understood():
    def captured(body):
        plain = bytes(cramjam.snappy.decompress_raw(body))
        return decode(plain, received_ns=prometheus_capture.SENT_NS)

    scraped = {row["metric"]: row for row in rows(captured(prometheus_capture.SCRAPED))}
    assert len(scraped) == 11
    assert (scraped["http_requests_total"]["double"], scraped["http_requests_total"]["kind"]) == (
        30,
        "sum",
    )
    assert scraped["queue_depth"]["non_finite"] == "nan"
    assert scraped["lat_seconds_bucket"]["attributes"] == {"le": "+Inf"}
    assert scraped["rt:service:requests"]["attributes"] == {"rt": "http", "service": "/svc/web"}
    assert {row["service"] for row in scraped.values()} == {"shop"}
    assert captured(prometheus_capture.METADATA).tables == {}
    gone = captured(prometheus_capture.GONE)
    assert (gone.counts, gone.skipped) == ({"metric_points": 5}, 6)
    assert {row["metric"]: row["double"] for row in rows(gone)}["up"] == 0


def test_a_group_is_decoded_the_same_every_time():
    reports = [
        Report(Signal.REMOTE_WRITE, version_1(series("a", sample(1), sample(2, 0))), NOW_NS, "x")
    ] * 3
    assert decode_group(reports, 5) == decode_group(reports, 5)


floats = st.floats() | st.just(STALE)
stamps = st.just(NOW_MS) | st.integers(-(2**63), 2**63 - 1)
samples = st.builds(sample, floats, stamps)
names = st.text(max_size=4) | st.just("__name__")
any_series = st.builds(
    lambda labels, found: pb.Series(
        labels=[pb.Label(name=name, value=value) for name, value in labels], samples=found
    ),
    st.lists(st.tuples(names, st.text(max_size=4)), max_size=4),
    st.lists(samples, max_size=3),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(any_series, max_size=3))
def test_points_and_dead_letters_are_all_that_the_front_end_counted(found):
    for signal, body in (
        (Signal.REMOTE_WRITE, version_1(*found)),
        (Signal.REMOTE_WRITE_V2, version_2(*found)),
    ):
        decoded = decode(body, signal)
        seen = inspect(signal, body, NOW_NS)
        points = decoded.counts.get("metric_points", 0)
        assert points + decoded.skipped + len(decoded.dead) == seen.items
        assert seen.rejected <= len(decoded.dead) + decoded.skipped


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([Signal.REMOTE_WRITE, Signal.REMOTE_WRITE_V2]))
def test_whatever_bytes_come_nothing_but_a_refusal_is_raised(data, signal):
    found = series("a", sample(1), histograms=(histogram(),))
    body = bytearray(version_1(found) if signal is Signal.REMOTE_WRITE else version_2(found))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        inspect(signal, bytes(body), NOW_NS)
        refused = False
    except (Malformed, TooLarge):
        refused = True
    decoded = decode(bytes(body), signal)
    if refused:
        assert [letter.reason for letter in decoded.dead] == ["unreadable"]
