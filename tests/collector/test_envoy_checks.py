"""A request through a real Envoy that asks the check front-ends, by each of its protocols."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from collector.frontends import als, envoy_ext_authz, envoy_ext_authz_http, envoy_rls
from collector.settings import Settings
from collector.sidecar.sidecar import Address, CheckProtocol, Sidecar
from collector.transport.http import RawAnswer, RawRequest
from policy.kinds import AnyRule, DenyRule, QuotaRule
from tests import plain_http
from tests.collector.checking import services
from tests.conftest import free_port
from tests.sidecar.envoys import running
from tests.transport.serving import Serving, serving
from tests.waiting import eventually

PROTOCOLS = [CheckProtocol.EXT_AUTHZ_GRPC, CheckProtocol.EXT_AUTHZ_HTTP, CheckProtocol.RLS]
NO_DELETES = DenyRule(
    name="no-deletes",
    version=2,
    match='destination.service == "cart.shop" && request.method == "DELETE"',
    message="carts are kept",
)
TWO_OF_ADA = QuotaRule(
    name="two-of-frontend",
    version=5,
    match='destination.service == "cart.shop" && source.service == "frontend.shop"',
    limit=2,
    window=60.0,
    algorithm="fixed-window",
)


ONE_AT_A_TIME = QuotaRule(
    name="one-at-a-time",
    match='destination.service == "cart.shop"',
    limit=1,
    window=600.0,
    algorithm="concurrency",
)


def show_headers(request: RawRequest) -> RawAnswer:
    return RawAnswer(200, [], json.dumps(dict(request.headers)).encode())


class Mesh:
    def __init__(self, inbound: Address, collector: Serving) -> None:
        self.url = f"http://{inbound}/cart"
        self.collector = collector

    def send(self, method: str = "GET", source: str = "other.shop") -> httpx.Response:
        headers = {"x-envoy-downstream-service-cluster": source}
        return plain_http.request(method, self.url, headers=headers)


@contextmanager
def mesh(protocol: CheckProtocol, directory: Path, *rules: AnyRule) -> Iterator[Mesh]:
    """An application behind Envoy behind the collector's check front-ends."""
    asked, settings = services(*rules), Settings()
    grpc = {
        **envoy_ext_authz.grpc_methods(asked, settings),
        **envoy_rls.grpc_methods(asked, settings),
        **als.grpc_methods(asked, settings),
    }
    with (
        serving(grpc, envoy_ext_authz_http.http_routes(asked, settings)) as collector,
        serving({}, {"/*": show_headers}) as app,
    ):
        sidecar = Sidecar(
            service="cart.shop",
            node="cart-1.shop",
            collector_grpc=local(collector.address),
            collector_http=local(collector.address),
            admin=Address("127.0.0.1", free_port()),
            inbound=Address("127.0.0.1", free_port()),
            app=local(app.address),
            check=protocol,
        )
        assert sidecar.inbound is not None
        with running(sidecar, directory):
            yield Mesh(sidecar.inbound, collector)


def local(address: str) -> Address:
    host, _, port = address.rpartition(":")
    return Address(host, int(port))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_no_rule_speaks_of_reaches_the_application(protocol, tmp_path):
    with mesh(protocol, tmp_path, NO_DELETES, TWO_OF_ADA) as asked:
        answer = asked.send()
    assert answer.status_code == 200
    assert answer.json()["x-meshmeter-decision"]


@pytest.mark.parametrize(("protocol", "status"), list(zip(PROTOCOLS, (403, 403, 429), strict=True)))
def test_a_denied_request_is_told_by_which_rule(protocol, status, tmp_path):
    with mesh(protocol, tmp_path, NO_DELETES, TWO_OF_ADA) as asked:
        answer = asked.send("DELETE")
    assert answer.status_code == status
    assert answer.headers["x-meshmeter-rule"] == "no-deletes@2"
    assert answer.headers["x-meshmeter-decision"]


@pytest.mark.parametrize("protocol", [CheckProtocol.EXT_AUTHZ_GRPC, CheckProtocol.EXT_AUTHZ_HTTP])
def test_a_denial_explains_itself_in_the_body(protocol, tmp_path):
    with mesh(protocol, tmp_path, NO_DELETES) as asked:
        answer = asked.send("DELETE")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["reason"] == "carts are kept"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_over_quota_is_429_with_a_time_to_come_back(protocol, tmp_path):
    with mesh(protocol, tmp_path, NO_DELETES, TWO_OF_ADA) as asked:
        answers = [asked.send(source="frontend.shop") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["x-meshmeter-rule"] == "two-of-frontend@5"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert "x-meshmeter-rule" not in answers[0].headers


@pytest.mark.parametrize("protocol", [CheckProtocol.EXT_AUTHZ_GRPC, CheckProtocol.EXT_AUTHZ_HTTP])
def test_the_application_learns_which_decision_let_it_through(protocol, tmp_path):
    with mesh(protocol, tmp_path, TWO_OF_ADA) as asked:
        answer = asked.send(source="frontend.shop")
    assert answer.json()["x-meshmeter-decision"]


def test_rate_limit_headers_come_from_the_quota(tmp_path):
    with mesh(CheckProtocol.RLS, tmp_path, TWO_OF_ADA) as asked:
        answer = asked.send(source="frontend.shop")
    assert answer.headers["x-ratelimit-limit"].startswith('2, 2;w=60;name="two-of-frontend')
    assert answer.headers["x-ratelimit-remaining"] == "1"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_collector_that_goes_away_is_told_apart_from_a_denial(protocol, tmp_path):
    with mesh(protocol, tmp_path, NO_DELETES) as asked:
        assert asked.send().status_code == 200
        asked.collector.stop()
        answer = asked.send()
    assert answer.status_code == 503
    assert "x-meshmeter-rule" not in answer.headers


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_access_log_of_a_request_frees_its_place_in_flight(protocol, tmp_path):
    with mesh(protocol, tmp_path, ONE_AT_A_TIME) as asked:
        first = asked.send()
        assert first.status_code == 200
        assert first.json()["x-meshmeter-lease"]
        eventually(lambda: asked.send().status_code == 200)
