"""External authorization over gRPC as a client sees it, with real rules."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import grpc
import pytest

from collector.frontends.envoy_ext_authz import PATH, READERS, ContextValues, grpc_methods
from collector.proto import envoy_pb2 as pb
from collector.settings import Settings
from collector.transport.metadata import Metadata
from policy.attributes import VOCABULARY
from policy.kinds import AnyRule, DenyRule, QuotaRule
from tests.collector.checking import services
from tests.transport.serving import serving

NODE = (("x-mesh-node", "cart-1.shop"),)


def request(
    extensions: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> pb.CheckRequest:
    context = pb.AttributeContext(context_extensions=extensions or {})
    context.source.service = "frontend.shop"
    context.source.principal = "spiffe://cluster.local/ns/shop/sa/frontend"
    context.source.address.socket_address.address = "10.0.0.7"
    context.destination.address.socket_address.address = "::1"
    context.destination.address.socket_address.port_value = 8080
    context.destination.labels["app"] = "cart"
    context.request.time.FromDatetime(datetime(2026, 1, 2, tzinfo=UTC))
    http = context.request.http
    http.method, http.path, http.host, http.scheme = "GET", "/cart?id=7&x=%20", "cart", "http"
    http.size = -1
    http.headers.update({":path": http.path, "user-agent": "curl/8", **(headers or {})})
    return pb.CheckRequest(attributes=context)


class Client:
    def __init__(self, channel: grpc.Channel) -> None:
        self._call = channel.unary_unary(
            PATH, pb.CheckRequest.SerializeToString, pb.CheckResponse.FromString
        )
        self.raw = channel.unary_unary(PATH)
        self.trailers: dict[str, str] = {}

    def check(self, asked: pb.CheckRequest) -> pb.CheckResponse:
        answer, call = self._call.with_call(asked, metadata=NODE)
        self.trailers = dict(call.trailing_metadata())
        return answer


@contextmanager
def client(*rules: AnyRule) -> Iterator[Client]:
    methods = grpc_methods(services(*rules), Settings())
    with serving(methods) as server, grpc.insecure_channel(server.address) as channel:
        yield Client(channel)


def headers_of(options) -> dict[str, str]:
    return {option.header.key: option.header.value for option in options}


def test_what_no_rule_speaks_of_passes_with_only_a_decision_id():
    with client() as authz:
        answer = authz.check(request())
    assert list(headers_of(answer.ok_response.headers)) == ["x-meshmeter-decision"]
    assert not answer.HasField("denied_response")


def test_a_denial_names_rule_decision_and_reason():
    rule = DenyRule(name="no-curl", version=4, match='request.useragent == "curl/8"', message="nö")
    with client(rule) as authz:
        answer = authz.check(request())
        trailers = authz.trailers
    denied = answer.denied_response
    headers = headers_of(denied.headers)
    decision = headers["x-meshmeter-decision"]
    assert (answer.status.code, denied.status.code) == (7, 403)
    assert headers["x-meshmeter-rule"] == trailers["x-meshmeter-rule"] == "no-curl@4"
    assert trailers["x-meshmeter-decision"] == decision
    assert "retry-after" not in headers
    assert headers["content-type"] == "application/json"
    assert json.loads(denied.body) == {
        "denied": True, "rule": "no-curl", "version": 4, "decision": decision, "reason": "nö",
    }  # fmt: skip


def test_a_rule_chooses_its_status():
    rule = DenyRule(name="gone", match='request.method == "GET"', http_status=410)
    with client(rule) as authz:
        assert authz.check(request()).denied_response.status.code == 410


def test_over_quota_says_when_to_come_back():
    rule = QuotaRule(name="one", match='request.method == "GET"', limit=1, window=60.0)
    with client(rule) as authz:
        first, second = authz.check(request()), authz.check(request())
    assert list(headers_of(first.ok_response.headers)) == ["x-meshmeter-decision"]
    assert (second.status.code, second.denied_response.status.code) == (8, 429)
    assert headers_of(second.denied_response.headers)["retry-after"] == "60"


@pytest.mark.parametrize(
    ("extensions", "denied"),
    [
        ({}, True),
        ({"destination.service": "pay.shop"}, False),
        ({"destination.service": "cart.shop"}, True),
        ({"no.such.attribute": "pay.shop"}, True),
    ],
)
def test_the_destination_is_the_sidecar_unless_the_route_says(extensions, denied):
    rule = DenyRule(name="closed", match='destination.service == "cart.shop"')
    with client(rule) as authz:
        answer = authz.check(request(extensions))
    assert answer.HasField("denied_response") is denied


def test_bytes_that_are_no_request_are_invalid():
    with client() as authz, pytest.raises(grpc.RpcError) as refused:
        authz.raw(b"\xff\xff")
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_before_any_rules_were_loaded_nothing_passes():
    methods = grpc_methods(services(loaded=False), Settings())
    with (
        serving(methods) as server,
        grpc.insecure_channel(server.address) as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        Client(channel).check(request())
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def values_of(asked: pb.CheckRequest) -> ContextValues:
    return ContextValues(asked.attributes, Metadata({b"x-mesh-node": b"cart-1.shop"}))


def test_every_attribute_has_its_value():
    found = dict(values_of(request(headers={"content-type": "application/grpc+proto"})))
    headers = found.pop("request.headers")
    assert headers["user-agent"] == "curl/8"
    assert found == {
        "connection.mtls": True,
        "context.protocol": "grpc",
        "destination.ip": b"\0" * 15 + b"\1",
        "destination.labels": {"app": "cart"},
        "destination.namespace": "shop",
        "destination.port": 8080,
        "destination.service": "cart.shop",
        "request.host": "cart",
        "request.method": "GET",
        "request.path": "/cart?id=7&x=%20",
        "request.query_params": {"id": "7", "x": " "},
        "request.scheme": "http",
        "request.size": 0,
        "request.time": datetime(2026, 1, 2, tzinfo=UTC),
        "request.url_path": "/cart",
        "request.useragent": "curl/8",
        "source.ip": b"\x0a\0\0\7",
        "source.namespace": "shop",
        "source.principal": "spiffe://cluster.local/ns/shop/sa/frontend",
        "source.service": "frontend.shop",
    }


def test_an_empty_request_has_next_to_nothing():
    found = dict(values_of(pb.CheckRequest()))
    assert found == {
        "connection.mtls": False,
        "context.protocol": "http",
        "destination.namespace": "shop",
        "destination.service": "cart.shop",
        "request.size": 0,
    }


def test_an_absent_attribute_is_a_missing_key():
    with pytest.raises(KeyError):
        values_of(pb.CheckRequest())["source.service"]


def test_the_route_sets_attributes_of_every_type():
    told = {
        "request.size": "12", "connection.mtls": "false", "response.duration": "1.5s",
        "source.ip": "10.1.1.1", "source.user": "ada", "request.time": "not a time",
    }  # fmt: skip
    found = values_of(request(told))
    assert (found["request.size"], found["connection.mtls"]) == (12, False)
    assert found["response.duration"].total_seconds() == 1.5
    assert (found["source.ip"], found["source.user"]) == (b"\x0a\1\1\1", "ada")
    assert found["request.time"] == datetime(2026, 1, 2, tzinfo=UTC)


def test_only_the_vocabulary_is_read():
    assert READERS.keys() <= VOCABULARY.keys()


@pytest.mark.parametrize(
    ("match", "denied"),
    [
        ('destination.namespace == "shop"', True),
        ('destination.namespace == "bank"', False),
        ('source.namespace == "web"', True),
    ],
)
def test_namespaces_are_read_of_names_and_identities(match, denied):
    rule = DenyRule(name="closed", match=match)
    asked = request({"destination.service": "cart.shop"})
    asked.attributes.source.service = "front.other"
    asked.attributes.source.principal = "spiffe://mesh/ns/web/sa/front"
    with client(rule) as authz:
        answer = authz.check(asked)
    assert answer.HasField("denied_response") is denied
