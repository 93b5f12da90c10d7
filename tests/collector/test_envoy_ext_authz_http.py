"""External authorization over HTTP as a client sees it, with real rules."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from collector.frontends.envoy_ext_authz_http import client_principal, http_routes
from collector.settings import Settings
from policy.kinds import AnyRule, DenyRule, QuotaRule
from tests import plain_http
from tests.collector.checking import services
from tests.transport.serving import serving

NODE = {"x-mesh-node": "cart-1.shop"}


@contextmanager
def client(*rules: AnyRule) -> Iterator[httpx.Client]:
    routes = http_routes(services(*rules), Settings())
    with (
        serving({}, routes) as server,
        plain_http.Client(base_url=f"http://{server.address}/authz", headers=NODE) as client,
    ):
        yield client


def denied_by(match: str, path: str = "/cart", method: str = "GET", **headers: str) -> bool:
    with client(DenyRule(name="asked", match=match)) as authz:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return authz.request(method, path, headers=named).status_code == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_what_no_rule_speaks_of_passes_whatever_the_method(method):
    with client() as authz:
        answer = authz.request(method, "/cart", content=b"")
    assert (answer.status_code, answer.content) == (200, b"")
    assert [name for name in answer.headers if name.startswith("x-meshmeter")] == [
        "x-meshmeter-decision"
    ]


def test_a_denial_names_rule_decision_and_reason():
    rule = DenyRule(name="no-get", version=2, match='request.method == "GET"', message="no")
    with client(rule) as authz:
        answer = authz.get("/cart")
    assert answer.status_code == 403
    assert answer.headers["x-meshmeter-rule"] == "no-get@2"
    assert answer.json() == {
        "denied": True, "rule": "no-get", "version": 2,
        "decision": answer.headers["x-meshmeter-decision"], "reason": "no",
    }  # fmt: skip


def test_over_quota_says_when_to_come_back():
    rule = QuotaRule(name="one", match='request.method == "GET"', limit=1, window=60.0)
    with client(rule) as authz:
        first, second = authz.get("/cart"), authz.get("/cart")
    assert (first.status_code, second.status_code) == (200, 429)
    assert "x-meshmeter-decision" in first.headers
    assert "x-meshmeter-rule" not in first.headers
    assert second.headers["retry-after"] == "60"


@pytest.mark.parametrize(
    ("match", "path"),
    [
        ('request.path == "/cart?id=7&b=%20"', "/cart?id=7&b=%20"),
        ('request.url_path == "/cart"', "/cart?id=7"),
        ('request.query_params["id"] == "7"', "/cart?id=7"),
        ('request.url_path == "/a%2Fb"', "/a%2Fb"),
        ('request.url_path == "/"', ""),
        ('request.url_path == "/authz/x"', "/authz/x"),
    ],
)
def test_the_original_path_is_what_follows_the_prefix(match, path):
    assert denied_by(match, path)


def test_the_destination_is_named_or_else_the_sidecar():
    match = 'destination.service == "cart.shop"'
    assert denied_by(match)
    assert not denied_by(match, x_mesh_destination="pay.shop")


def test_the_source_is_what_envoy_says_of_its_peer():
    match = 'source.service == "frontend.shop"'
    assert denied_by(match, x_envoy_downstream_service_cluster="frontend.shop")
    assert not denied_by(match)


def test_the_principal_is_read_from_the_certificate_header():
    match = 'source.principal == "spiffe://c/ns/shop/sa/a" && connection.mtls'
    xfcc = 'By=spiffe://c/ns/shop/sa/b;Hash=ab;Subject="CN=a,O=\\"x;URI=fake";URI=spiffe://c/ns/shop/sa/a'
    assert denied_by(match, x_forwarded_client_cert=xfcc)
    assert not denied_by(match)


@pytest.mark.parametrize(
    ("xfcc", "principal"),
    [
        ("URI=one", "one"),
        ("By=x;URI=far,By=y;URI=near", "near"),
        ('uri="quoted"', "quoted"),
        ("Hash=ab", ""),
        ('Subject="URI=fake"', ""),
        ("", ""),
        (";;;==,,", ""),
    ],
)
def test_of_several_certificates_the_last_is_the_peers(xfcc, principal):
    assert client_principal(xfcc) == principal


def test_headers_are_attributes():
    assert denied_by('request.headers["x-user"] == "ada"', x_user="ada")


def test_a_method_is_the_original_one():
    assert denied_by('request.method == "DELETE"', method="DELETE")
