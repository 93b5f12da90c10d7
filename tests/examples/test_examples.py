"""The examples, run as their first lines say, against a real collector."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import plain_http
from tests.bad_input.live import LiveCollector
from tests.waiting import eventually

EXAMPLES = Path("examples")


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[LiveCollector]:
    live = LiveCollector(tmp_path_factory.mktemp("collector"), redis_url)
    yield live
    live.kill()


def run(example: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / example), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_send_trace_puts_two_spans_on_the_collectors_disk(collector):
    counters = collector.counters()
    assert run("send_trace.py", collector.url).startswith("2 spans of trace ")
    assert counters.moved("frontend_items", protocol="otlp_http") == 2
    assert counters.moved("frontend_items_dropped") == 0
    assert counters.moved("reports", signal="otlp-traces") == 1


def test_ask_check_is_told_by_the_quota_rule_when_it_is_too_much(collector):
    assert run("ask_check.py", collector.url) == "storefront may ask checkout for /cart\n"
    rule = EXAMPLES / "quota_rule.json"
    subprocess.run(
        [sys.executable, "-m", "cli", "rules", "create", str(rule)],
        env=os.environ | collector.settings.to_environ(),
        check=True,
        timeout=60,
        stdout=subprocess.DEVNULL,
    )

    def refused() -> str:
        """What the example says, unless a new window began before it asked."""
        eventually(lambda: asked(collector.url) == httpx.codes.TOO_MANY_REQUESTS)
        told = run("ask_check.py", collector.url)
        return told if "may not ask" in told else ""

    said = eventually(refused)
    name = json.loads(rule.read_text())["name"]
    assert f"storefront may not ask checkout for /cart: 429 by rule {name}@" in said
    assert "again in " in said


@pytest.mark.parametrize("example", ["mixer.yaml", "ratelimit.yaml", "rules.yaml"])
def test_examples_of_files_to_import_are_imported_whole(collector, example):
    said = subprocess.run(
        [sys.executable, "-m", "cli", "rules", "import", str(EXAMPLES / example)],
        env=os.environ | collector.settings.to_environ(),
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    ).stdout
    assert said.splitlines()[-1].endswith("0 refused, 0 changed, 0 ignored")


def asked(url: str) -> int:
    headers = {
        "x-envoy-downstream-service-cluster": "storefront",
        "x-mesh-destination": "checkout",
    }
    return plain_http.get(f"{url}/authz/cart", headers=headers).status_code


def test_every_example_is_run_here():
    text = Path(__file__).read_text()
    assert [path.name for path in EXAMPLES.iterdir() if path.name not in text] == []
