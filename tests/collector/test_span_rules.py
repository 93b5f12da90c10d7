"""What spans of all protocols are made to agree on."""

import pytest

from collector.decoders.span_rules import (
    http_status,
    is_failure,
    sampling_weight,
    service_name,
    span_weight,
)

INTERNAL, SERVER, CLIENT, PRODUCER = 1, 2, 3, 4


@pytest.mark.parametrize(
    "key", ["http.response.status_code", "http.status_code", "http.rsp.status"]
)
def test_a_status_is_the_number_in_a_text(key):
    assert http_status({key: "503"}) == 503


@pytest.mark.parametrize("text", ["0", "", "-12", "٢٠٠", "2000", "OK", "1e2"])
def test_a_status_that_is_none_is_none(text):
    assert http_status({"http.status_code": text}) == 0


@pytest.mark.parametrize(
    ("kind", "failed"), [(SERVER, True), (CLIENT, True), (INTERNAL, False), (PRODUCER, False)]
)
def test_a_status_of_500_is_a_failure_of_servers_and_clients(kind, failed):
    assert is_failure(500, kind) is failed
    assert not is_failure(499, kind)


def test_a_service_of_its_own_name_has_that_name():
    assert service_name({"service.name": "cart", "k8s.deployment.name": "other"}) == "cart"


@pytest.mark.parametrize(
    "shared", ["linkerd-proxy", "istio-proxy", "envoy", "unknown_service:python", "unknown", ""]
)
def test_proxies_that_share_a_name_are_told_apart_by_their_workload(shared):
    linkerd = {"linkerd.io/proxy-deployment": "books", "linkerd.io/workload-ns": "shop"}
    assert service_name({"service.name": shared} | linkerd) == "books.shop"
    kubernetes = {"k8s.statefulset.name": "db", "k8s.namespace.name": "shop"}
    assert service_name({"service.name": shared} | kubernetes) == "db.shop"
    assert service_name({"service.name": shared, "app": "books"}) == "books"


def test_a_shared_name_without_a_workload_stays():
    assert service_name({"service.name": "linkerd-proxy"}) == "linkerd-proxy"
    assert service_name({"k8s.namespace.name": "shop"}) == "unknown"


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("async envoy.service.auth.v3.Authorization.Check egress", {}),
        ("async envoy.service.ratelimit.v3.RateLimitService.ShouldRateLimit egress", {}),
        ("async collector_http egress", {"ext_authz_status": "ext_authz_ok"}),
        ("AuthRequest", {"url.full": "http://127.0.0.1:4318/v1/check"}),
        ("AuthRequest", {"http.url": "http://meshmeter:4318/v1/check/traefik"}),
    ],
    ids=["Envoy's check", "Envoy's rate limit", "Envoy's check over HTTP", "Traefik's", "older"],
)
def test_a_proxys_own_check_stands_for_no_request(name, attributes):
    assert span_weight(CLIENT, name, attributes) == 0
    assert span_weight(SERVER, name, attributes) == 1


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("egress b.shop", {"http.status_code": "200"}),
        ("async shadow egress", {}),
        ("AuthRequest", {"url.full": "http://login.shop/verify"}),
    ],
)
def test_other_calls_stand_for_a_request(name, attributes):
    assert span_weight(CLIENT, name, attributes) == 1


@pytest.mark.parametrize(
    ("trace_state", "weight"),
    [
        ("ot=th:8", 2), ("ot=th:c", 4), ("ot=th:0", 1), ("ot=rv:6e6d1a75832a2f;th:fd70a4", 100),
        ("vendor=1, ot=p:3;r:5", 8), ("x=ot=th:c", 1), ("ot=th:", 1), ("ot=th:xyz", 1),
        ("ot=p:63", 1), ("ot=th:ffffffffffffff", 1), ("ot=th:c;p:9", 4), ("ot", 1), ("", 1),
    ],
)  # fmt: skip
def test_a_sampled_span_stands_for_as_many_as_its_tracestate_says(trace_state, weight):
    assert sampling_weight(trace_state) == pytest.approx(weight, rel=1e-5)
