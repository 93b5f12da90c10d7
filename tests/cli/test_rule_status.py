"""What rules matched, and why not, of a live collector that is asked as by an Envoy."""

import ipaddress
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from collector.frontends import envoy_ext_authz
from tests import plain_http
from tests.bad_input.live import LiveCollector
from tests.collector.test_envoy_ext_authz import request
from tests.waiting import eventually

IDLE_S = 3.0  # a busy machine may take a second between a check and the question
RUN = uuid.uuid4().hex[:8]  # the counters' server is shared with other tests
MISSPELT, BUSY, OFF = f"misspelt-{RUN}", f"busy-{RUN}", f"off-{RUN}"
CART = {"destination.service": "cart.shop"}
GOLD = {"x-user-tier": "gold", "cookie": "hidden", "authorization": "Bearer hidden"}
RULES: list[dict[str, Any]] = [
    {"kind": "headers", "name": BUSY, "match": 'request.headers["cookie"] != ""',
     "request": [{"operation": "remove", "name": "cookie"}]},
    {"kind": "deny", "name": MISSPELT,
     "match": 'destination.service == "cart.shop" && request.headers["x-user-teir"] == "gold"'},
    {"kind": "deny", "name": OFF, "mode": "disabled"},
]  # fmt: skip


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[LiveCollector]:
    live = LiveCollector(tmp_path_factory.mktemp("collector"), redis_url, rules_idle_s=IDLE_S)
    for rule in RULES:
        plain_http.post(f"{live.url}/api/v1/rules", json=rule).raise_for_status()
    yield live
    live.kill()


def run(collector: LiveCollector, *words: str) -> Result:
    return CliRunner(env=collector.settings.to_environ()).invoke(app, words)


def status(collector: LiveCollector, name: str) -> dict[str, Any]:
    answer = plain_http.get(f"{collector.url}/api/v1/rules/{name}/status").raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def check(collector: LiveCollector) -> bool:
    """One of an Envoy's, over gRPC."""
    collector.call(envoy_ext_authz.PATH, request(CART, GOLD).SerializeToString())
    return True


def why(collector: LiveCollector) -> dict[str, Any] | None:
    """Of a rule that matches nothing, as soon as traffic was sampled."""
    check(collector)
    found: dict[str, Any] | None = status(collector, MISSPELT)["why_idle"]
    return found if found and found["why"] == "absent" else None


def test_a_misspelt_header_is_told_with_the_one_that_requests_have(
    collector: LiveCollector,
) -> None:
    found = eventually(lambda: why(collector))
    assert found["term"]["term"] == 'request.headers["x-user-teir"] == "gold"'
    assert found["seen"][0]["text"] == "request.headers[x-user-tier]"
    shown = run(collector, "rules", "status", MISSPELT).output.splitlines()
    assert shown[0].split() == ["rule", "version", "mode", "matched", "last_matched", "now"]
    assert shown[1].split() == [MISSPELT, "1", "enabled", "0", "never", "matches", "nothing"]
    assert shown[2].startswith(f"{MISSPELT}: request.headers[x-user-teir] was in none of ")
    assert "request.headers[x-user-tier]" in shown[2]
    assert shown[3].startswith('  destination.service == "cart.shop": holds for ')


def test_all_rules_are_told_and_why_of_those_that_match_nothing(collector: LiveCollector) -> None:
    eventually(lambda: why(collector))
    shown = run(collector, "rules", "status").output.splitlines()
    assert [line.split()[0] for line in shown[1:4]] == sorted((BUSY, MISSPELT, OFF))
    assert shown[3].endswith("not in force")
    assert [line.split(":")[0] for line in shown[4:5]] == [MISSPELT]

    def told() -> bool:
        check(collector)  # on a busy machine it may be idle again before that is asked
        every = json.loads(run(collector, "rules", "status", "--json").output)
        return [each["idle"] for each in every] == [False, True, False] and every[0]["matched"] >= 1

    eventually(told)


def test_nothing_is_told_of_credentials_though_rules_read_them(collector: LiveCollector) -> None:
    never = {"kind": "deny", "name": f"never-{RUN}", "match": 'request.headers["cookie"] == "x"'}
    plain_http.post(f"{collector.url}/api/v1/rules", json=never).raise_for_status()

    def not_kept() -> bool:
        check(collector)
        found = status(collector, never["name"])
        assert "hidden" not in json.dumps(found)
        return bool(found["why_idle"]) and found["why_idle"]["why"] == "not sampled"

    eventually(not_kept)


def test_requests_for_the_collector_itself_are_not_sampled(collector: LiveCollector) -> None:
    own = f"own-{RUN}"
    match = f'request.headers["x-from"] == "{own}"'
    rule = {"kind": "deny", "name": own, "match": match}
    plain_http.post(f"{collector.url}/api/v1/rules", json=rule).raise_for_status()
    to_itself = request(CART, {"x-from": "a page of the dashboard"})
    address = to_itself.attributes.destination.address.socket_address
    host, _, port = collector.settings.http.partition(":")
    address.address, address.port_value = str(ipaddress.ip_address(host)), int(port)

    def told() -> dict[str, Any] | None:
        collector.call(envoy_ext_authz.PATH, to_itself.SerializeToString())
        check(collector)
        found: dict[str, Any] | None = status(collector, own)["why_idle"]
        return found if found and found["why"] == "absent" else None

    assert "dashboard" not in json.dumps(eventually(told))
    assert "x-from" not in {each["text"] for each in eventually(told)["seen"]}
