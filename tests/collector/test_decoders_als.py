"""Envoy's access log entries become rows: who called whom, and what became of it."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.decoders import decode_group
from collector.decoders.als_fields import FLAGS
from collector.model import Signal
from collector.proto import envoy_pb2 as pb
from collector.store.client import Store
from tests.collector.reports import (
    NOW_NS,
    SECOND,
    access_log,
    http_entry,
    report,
    tcp_entry,
)

EXAMPLES = itertools.count()
SPIFFE = "spiffe://cluster.local/ns/default/sa"


def decode(message):
    return decode_group([report(message, Signal.ALS)], 1)


def only(*entries, **kwargs):
    """The one row, by column."""
    decoded = decode(access_log(*entries, **kwargs))
    assert decoded.dead == []
    return {name: values[0] for name, values in decoded.tables["requests"].items()}


def tagged(**tags):
    entry = http_entry()
    entry.common_properties.custom_tags.update(tags)
    return entry


def test_an_inbound_entry_is_told_by_the_destination():
    entry = tagged(reporter="inbound", trace_id="0af7651916cd43dd8448eb211c80319c", zone="z1")
    entry.common_properties.custom_tags["span_id"] = "b7ad6b7169203331"
    entry.common_properties.downstream_remote_address.socket_address.address = "127.0.0.11"
    entry.request.request_headers["x-envoy-downstream-service-cluster"] = "a.default"
    entry.request.request_id = "r-1"
    entry.request.request_headers_bytes, entry.request.request_body_bytes = 10, 20
    entry.response.response_headers_bytes, entry.response.response_body_bytes = 30, 40
    entry.response.response_code_details = "via_upstream"
    assert only(entry) == {
        "time": NOW_NS - SECOND,
        "source": "a.default",
        "destination": "b.default",
        "reporter": "destination",
        "node": "b-1.default",
        "protocol": "http",
        "method": "GET",
        "host": "b.default",
        "path": "/",
        "status": 200,
        "error": 0,
        "denied": 0,
        "flags": "",
        "details": "via_upstream",
        "rule": "",
        "duration_ns": 5_000_000,
        "request_bytes": 30,
        "response_bytes": 70,
        "trace_id": bytes.fromhex("0af7651916cd43dd8448eb211c80319c"),
        "span_id": 0xB7AD6B7169203331,
        "request_id": "r-1",
        "log_id": "stream-1",
        "source_principal": "",
        "destination_principal": "",
        "source_address": "127.0.0.11",
        "tags": {"zone": "z1"},
        "weight": 1.0,
        "_group": 1,
    }


@pytest.mark.parametrize(
    ("cluster", "destination"),
    [
        ("outbound|8080||b.default", "b.default"),
        ("outbound|8080|v1|b.default.svc.cluster.local", "b.default"),
        ("b", "b"),
        ("", "unknown"),
    ],
)
def test_an_outbound_entry_goes_to_the_service_of_its_cluster(cluster, destination):
    entry = tagged(reporter="outbound")
    entry.common_properties.upstream_cluster = cluster
    row = only(entry, cluster="a.default")
    assert (row["source"], row["destination"], row["reporter"]) == (
        "a.default",
        destination,
        "source",
    )


def test_a_destination_tag_wins():
    entry = tagged(reporter="outbound", destination="c.default")
    entry.common_properties.upstream_cluster = "outbound|8080||b.default"
    assert only(entry)["destination"] == "c.default"


@pytest.mark.parametrize(
    ("log_name", "reporter"),
    [("outbound", "source"), ("inbound_tcp", "destination"), ("mesh", "destination")],
)
def test_without_a_tag_the_logs_name_tells_the_reporter(log_name, reporter):
    assert only(http_entry(), log_name=log_name)["reporter"] == reporter


def test_a_log_of_another_name_is_outbound_when_its_cluster_is():
    entry = http_entry()
    entry.common_properties.upstream_cluster = "outbound|8080||b.default"
    assert only(entry, log_name="mesh")["reporter"] == "source"


def test_the_callers_certificate_tells_who_it_is_when_no_header_does():
    entry = http_entry()
    tls = entry.common_properties.tls_properties
    tls.peer_certificate_properties.subject_alt_name.add(dns="a.example")
    tls.peer_certificate_properties.subject_alt_name.add(uri=f"{SPIFFE}/a")
    tls.local_certificate_properties.subject_alt_name.add(uri=f"{SPIFFE}/b")
    row = only(entry)
    assert row["source"] == "a.default"
    assert row["source_principal"] == f"{SPIFFE}/a"
    assert row["destination_principal"] == f"{SPIFFE}/b"


def test_the_certificate_of_the_application_is_not_the_sidecars_outbound():
    entry = tagged(reporter="outbound", destination_principal=f"{SPIFFE}/b")
    tls = entry.common_properties.tls_properties
    tls.peer_certificate_properties.subject_alt_name.add(uri=f"{SPIFFE}/app")
    row = only(entry)
    assert (row["source_principal"], row["destination_principal"]) == ("", f"{SPIFFE}/b")


def test_a_caller_nobody_names_is_unknown():
    assert only(tagged(source_principal="-"))["source"] == "unknown"


def test_a_sidecar_without_a_cluster_is_who_the_metadata_says():
    assert only(http_entry(), cluster="")["destination"] == "b-1.default"


@pytest.mark.parametrize(
    ("status", "error"), [(200, 0), (404, 0), (499, 0), (500, 1), (503, 1), (0, 1)]
)
def test_an_error_is_a_status_of_500_or_none(status, error):
    entry = http_entry()
    entry.response.response_code.value = status
    assert only(entry)["error"] == error


def test_what_policy_refused_is_denied_and_no_error():
    entry = http_entry()
    entry.response.response_code.value = 503
    entry.common_properties.response_flags.unauthorized_details.reason = 1
    row = only(entry)
    assert (row["flags"], row["denied"], row["error"]) == ("UAEX", 1, 0)


def test_what_a_rate_limit_refused_is_denied():
    entry = http_entry()
    entry.common_properties.response_flags.rate_limited = True
    assert (only(entry)["flags"], only(entry)["denied"]) == ("RL", 1)


def test_what_the_sidecars_own_share_of_a_quota_refused_is_denied():
    entry = http_entry()
    entry.response.response_code.value = 503
    entry.response.response_code_details = "rate_limited_by_quota"
    assert (only(entry)["denied"], only(entry)["error"]) == (1, 0)


def test_an_answer_that_names_a_rule_is_denied_by_it():
    entry = http_entry()
    entry.response.response_code.value = 403
    entry.response.response_headers["x-meshmeter-rule"] = "no-guests@3"
    row = only(entry)
    assert (row["rule"], row["denied"], row["error"]) == ("no-guests@3", 1, 0)


def test_flags_are_envoys_codes_in_the_order_of_their_fields():
    entry = http_entry()
    entry.common_properties.response_flags.upstream_retry_limit_exceeded = True
    entry.common_properties.response_flags.upstream_connection_failure = True
    assert only(entry)["flags"] == "UF,URX"


def test_every_flag_has_a_code_of_its_own():
    names = [field.name for field in pb.ResponseFlags.DESCRIPTOR.fields]
    assert sorted(FLAGS) == sorted(names)
    assert len(set(FLAGS.values())) == len(names)


@pytest.mark.parametrize(
    ("number", "name"), [(0, ""), (1, "GET"), (3, "POST"), (9, "PATCH"), (77, "77"), (-1, "-1")]
)
def test_a_method_without_a_name_is_its_number(number, name):
    entry = http_entry()
    entry.request.request_method = number
    assert only(entry)["method"] == name


@pytest.mark.parametrize("text", ["-", "", "xyz", "00" * 17, "0af7651916cd43dd8448eb211c80319"])
def test_a_trace_id_that_is_none_is_zeros(text):
    assert only(tagged(trace_id=text))["trace_id"] == bytes(16)


def test_a_trace_id_of_64_bits_is_filled_with_zeros():
    assert only(tagged(trace_id="b7ad6b7169203331"))["trace_id"].hex() == "0" * 16 + (
        "b7ad6b7169203331"
    )


def test_the_trace_is_found_in_the_header_when_it_is_in_no_tag():
    entry = http_entry()
    entry.request.request_headers["traceparent"] = (
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    )
    row = only(entry)
    assert row["trace_id"].hex() == "0af7651916cd43dd8448eb211c80319c"
    assert row["span_id"] == 0xB7AD6B7169203331


def test_the_path_is_the_one_before_a_rewrite():
    entry = http_entry()
    entry.request.path, entry.request.original_path = "/v2/items", "/items"
    assert only(entry)["path"] == "/items"


@pytest.mark.parametrize(
    ("rate", "weight"), [(0, 1), (1, 1), (0.25, 4), (-1, 1), (float("nan"), 1), (1e-300, 1)]
)
def test_a_sampled_entry_stands_for_more(rate, weight):
    entry = http_entry()
    entry.common_properties.sample_rate = rate
    assert only(entry)["weight"] == weight


def test_a_connection_is_a_row_when_it_has_ended():
    row = only(tcp_entry())
    assert (row["protocol"], row["duration_ns"]) == ("tcp", 2 * SECOND)
    assert (row["request_bytes"], row["response_bytes"]) == (100, 2000)
    assert (row["status"], row["error"]) == (0, 0)


def test_a_connection_that_found_no_upstream_is_an_error():
    entry = tcp_entry()
    entry.common_properties.response_flags.upstream_connection_failure = True
    assert (only(entry)["error"], only(entry)["flags"]) == (1, "UF")


def test_entries_of_a_request_that_goes_on_are_skipped_and_counted():
    connected, periodic = tcp_entry(), tcp_entry()
    connected.common_properties.access_log_type = 1
    periodic.common_properties.intermediate_log_entry = True
    decoded = decode(access_log(connected, periodic, tcp_entry()))
    assert (decoded.counts, decoded.skipped) == ({"requests": 1}, 2)


def test_an_entry_without_a_start_is_a_dead_letter():
    entry = http_entry()
    entry.common_properties.ClearField("start_time")
    decoded = decode(access_log(entry, http_entry()))
    assert decoded.counts == {"requests": 1, "dead_letters": 1}
    assert decoded.dead[0].reason == "no_time"
    assert pb.HTTPAccessLogEntry.FromString(decoded.dead[0].item) == entry


def test_an_entry_from_the_far_future_is_a_dead_letter():
    entry = http_entry()
    entry.common_properties.start_time.seconds = 2**63 - 1
    assert [letter.reason for letter in decode(access_log(entry)).dead] == ["in_the_future"]


def test_a_negative_duration_is_0():
    entry = http_entry()
    entry.common_properties.duration.seconds = -5
    assert only(entry)["duration_ns"] == 0


def test_text_that_is_not_utf_8_is_repaired_also_in_headers():
    entry = http_entry()
    entry.request.path = "/BAD?"
    entry.response.response_headers["x-meshmeter-rule"] = "BAD?"
    raw = access_log(entry, http_entry()).SerializeToString().replace(b"BAD?", b"BAD\xff")
    decoded = decode(raw)
    assert decoded.dead == []
    assert decoded.tables["requests"]["path"] == ["/BAD�", "/"]
    assert decoded.tables["requests"]["rule"] == ["BAD�", ""]


def test_a_body_that_is_no_message_is_one_dead_letter():
    assert [letter.reason for letter in decode(b"\xff\xff").dead] == ["unreadable"]


# --- any message

seconds = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(NOW_NS // SECOND - 700_000, NOW_NS // SECOND)
)
nanos = st.integers(-(2**31), 2**31 - 1)
short = st.text(max_size=8)
named = st.dictionaries(
    st.sampled_from(["reporter", "trace_id", "span_id", "x-meshmeter-rule", "traceparent", "k"]),
    st.one_of(short, st.sampled_from(["outbound", "00" * 16, "-"])),
)
sizes = st.integers(0, 2**63 - 1)


@st.composite
def http_entries(draw):
    entry = pb.HTTPAccessLogEntry()
    common = entry.common_properties
    common.start_time.seconds, common.start_time.nanos = draw(seconds), draw(nanos)
    common.duration.seconds, common.duration.nanos = draw(seconds), draw(nanos)
    common.sample_rate = draw(st.floats())
    common.upstream_cluster = draw(short)
    common.custom_tags.update(draw(named))
    common.access_log_type = draw(st.integers(-1, 12))
    for name in draw(st.sets(st.sampled_from(sorted(FLAGS)), max_size=3)):
        if name != "unauthorized_details":
            setattr(common.response_flags, name, True)
    entry.request.request_method = draw(nanos)
    entry.request.authority, entry.request.path = draw(short), draw(short)
    entry.request.request_headers.update(draw(named))
    entry.request.request_headers_bytes = draw(sizes)
    entry.response.response_headers.update(draw(named))
    entry.response.response_code.value = draw(st.integers(0, 2**32 - 1))
    return entry


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(entries=st.lists(http_entries(), max_size=3))
def test_every_entry_is_a_row_a_dead_letter_or_skipped_and_rows_can_be_stored(store_url, entries):
    decoded = decode(access_log(*entries))
    rows = decoded.counts.get("requests", 0)
    assert rows + len(decoded.dead) + decoded.skipped == len(entries)
    with Store(store_url) as store:
        for table, columns in decoded.tables.items():
            assert len({len(values) for values in columns.values()}) == 1
            store.insert(table, columns, token=f"example:{next(EXAMPLES)}")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_bytes_come_nothing_is_raised(data):
    raw = bytearray(access_log(data.draw(http_entries()), http_entry()).SerializeToString())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    decode(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
