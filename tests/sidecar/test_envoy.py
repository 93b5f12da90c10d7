"""Generated configurations, loaded by the real Envoy."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from collector.errors import InvalidSetting
from collector.sidecar.envoy import envoy_config
from collector.sidecar.sidecar import (
    Address,
    CheckProtocol,
    FailureMode,
    Sidecar,
    Upstream,
    qualified,
)
from tests import plain_http
from tests.conftest import free_port
from tests.sidecar.envoys import running, validated


def local(port: int) -> Address:
    return Address("127.0.0.1", port)


def cart(**changes: object) -> Sidecar:
    facts: dict[str, object] = {
        "service": "cart.shop",
        "node": "cart-1.shop",
        "collector_grpc": local(4317),
        "collector_http": local(4318),
        "admin": local(15000),
        "inbound": local(15006),
        "app": local(8080),
        "upstreams": (
            Upstream("pricing.shop", Address("10.0.0.7", 8080), local(15100)),
            Upstream("inventory.stock", Address("inventory.example", 80), local(15101)),
        ),
    }
    return Sidecar(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("failure_mode", FailureMode)
@pytest.mark.parametrize("check", CheckProtocol)
def test_envoy_accepts_every_check_protocol(
    check: CheckProtocol, failure_mode: FailureMode, tmp_path: Path
) -> None:
    made = cart(check=check, failure_mode=failure_mode, descriptors=(("user", "x-user"),),
                check_headers=("x-user",))  # fmt: skip
    path = tmp_path / "envoy.yaml"
    path.write_text(yaml.safe_dump(envoy_config(made)))
    assert validated(path) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"inbound": None, "app": None},
        {"upstreams": ()},
        {"sampling_percent": 0.5},
        {"metrics": True},
        {"collector_grpc": Address("collector.mesh", 4317), "check": CheckProtocol.EXT_AUTHZ_HTTP},
        {"collector_http": Address("::1", 4318), "check": CheckProtocol.EXT_AUTHZ_HTTP},
    ],
    ids=[
        "calls only",
        "called only",
        "sampled",
        "metrics",
        "collector by name",
        "collector by IPv6",
    ],
)
def test_envoy_accepts_sidecars_of_every_shape(changes: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "envoy.yaml"
    path.write_text(yaml.safe_dump(envoy_config(cart(**changes))))
    assert validated(path) == ""


def test_every_call_to_the_collector_says_which_sidecar_it_is() -> None:
    for check in (CheckProtocol.EXT_AUTHZ_GRPC, CheckProtocol.RLS, CheckProtocol.RLQS):
        for service in grpc_services(envoy_config(cart(check=check, metrics=True))):
            assert service["initial_metadata"] == [{"key": "x-mesh-node", "value": "cart-1.shop"}]


def grpc_services(part: object) -> list[dict[str, object]]:
    """Every `grpc_service`, by whatever name, anywhere in a configuration."""
    if isinstance(part, list):
        return [found for item in part for found in grpc_services(item)]
    if not isinstance(part, dict):
        return []
    here = [part[name] for name in ("grpc_service", "rlqs_server") if name in part]
    return here + [found for item in part.values() for found in grpc_services(item)]


def test_outbound_clusters_name_the_destination_as_istio_does() -> None:
    clusters = envoy_config(cart())["static_resources"]["clusters"]
    names = [cluster["name"] for cluster in clusters]
    assert names == ["app", "outbound|8080||pricing.shop", "outbound|80||inventory.stock",
                     "collector"]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"service": "cart"}, "NAME.NAMESPACE"),
        ({"service": "ca rt.shop"}, "NAME.NAMESPACE"),
        ({"app": None}, "needs both"),
        ({"inbound": None, "app": None, "upstreams": ()}, "application port or an outbound"),
        ({"sampling_percent": 101.0}, "percentage"),
        ({"admin": local(15006)}, "port 15006 is used twice"),
    ],
)
def test_a_sidecar_that_cannot_be_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidSetting, match=reason):
        cart(**changes)


def test_a_name_without_a_namespace_gets_the_given_one() -> None:
    assert qualified("cart", "shop") == "cart.shop"
    assert qualified("cart.stock", "shop") == "cart.stock"


@pytest.fixture
def app() -> Iterator[Address]:
    """A service that answers 200 to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Requests are not logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield local(server.server_address[1])
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("failure_mode", "status"), [(FailureMode.CLOSED, 503), (FailureMode.OPEN, 200)]
)
@pytest.mark.parametrize(
    "check", [CheckProtocol.EXT_AUTHZ_GRPC, CheckProtocol.EXT_AUTHZ_HTTP, CheckProtocol.RLS]
)
def test_without_a_collector_the_failure_mode_decides(
    check: CheckProtocol, failure_mode: FailureMode, status: int, app: Address, tmp_path: Path
) -> None:
    nobody = local(free_port())
    inbound = local(free_port())
    sidecar = cart(
        inbound=inbound, app=app, upstreams=(), admin=local(free_port()), check=check,
        failure_mode=failure_mode, collector_grpc=nobody, collector_http=nobody,
    )  # fmt: skip
    with running(sidecar, tmp_path):
        answer = plain_http.get(f"http://{inbound}/", headers={"x-user": "ada"})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("failure_mode", "status"), [(FailureMode.CLOSED, 429), (FailureMode.OPEN, 200)]
)
def test_who_counts_by_itself_and_was_told_nothing_follows_its_failure_mode(
    failure_mode: FailureMode, status: int, app: Address, tmp_path: Path
) -> None:
    inbound = local(free_port())
    sidecar = cart(
        inbound=inbound, app=app, upstreams=(), admin=local(free_port()), check=CheckProtocol.RLQS,
        failure_mode=failure_mode, collector_grpc=local(free_port()),
    )  # fmt: skip
    with running(sidecar, tmp_path):
        answers = [
            plain_http.get(f"http://{inbound}/", headers=h) for h in ({}, {"x-user": "ada"}) * 2
        ]
    assert [answer.status_code for answer in answers] == [status] * 4
