"""A collector that is killed and started again while its lists' source is down; and the command."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.settings import PREFIX
from tests import plain_http
from tests.bad_input.live import LiveCollector
from tests.collector.list_source import source, tagged
from tests.conftest import ValkeyProcess
from tests.waiting import eventually

NETWORKS = {"lists_networks": "127.0.0.0/8"}
GATE = {"kind": "list", "name": "gate", "type": "allow", "value": "source.user", "list": "vips"}


def allowed(collector: LiveCollector, user: str) -> bool:
    question = {"attributes": {"source.user": user}}
    return bool(plain_http.post(f"{collector.url}/api/v1/check", json=question).json()["allowed"])


def test_a_collector_that_is_killed_has_its_lists_when_the_source_is_down(
    tmp_path: Path, valkey: ValkeyProcess
) -> None:
    with source() as served:
        served.answer = tagged("ann\n", '"1"')
        vips = {"name": "vips", "entry_type": "literal", "url": served.url, "refresh": 1}
        first = LiveCollector(tmp_path, valkey.url, **NETWORKS)
        try:
            made = plain_http.post(f"{first.url}/api/v1/lists", json=vips)
            assert made.status_code == 201, made.text
            assert plain_http.post(f"{first.url}/api/v1/rules", json=GATE).status_code == 201
            assert (allowed(first, "ann"), allowed(first, "bob")) == (True, False)
            # On disk before it is told: what is confirmed was written.
            eventually(lambda: len(served.asked) > 1)
        finally:
            first.kill()
    second = LiveCollector(tmp_path, valkey.url, **NETWORKS)
    try:
        assert (allowed(second, "ann"), allowed(second, "bob")) == (True, False)
        status = f"{second.url}/api/v1/lists/vips/status"
        eventually(lambda: plain_http.get(status).json()["error"])
        told = plain_http.get(status).json()
        assert told["error"].startswith("cannot be fetched")
        assert (told["available"], told["entries"], told["etag"]) == (True, 1, '"1"')
        counters = second.counters()
        eventually(lambda: counters.moved("list_failures", list="vips"))
    finally:
        second.kill()


@pytest.fixture
def collector(tmp_path: Path, valkey: ValkeyProcess) -> Iterator[LiveCollector]:
    live = LiveCollector(tmp_path, valkey.url)
    yield live
    live.kill()


def test_lists_are_handled_from_a_terminal(collector: LiveCollector, tmp_path: Path) -> None:
    def meshmeter(*words: str, sent: str = "", fails: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "cli", "lists", *words],
            env={f"{PREFIX}HTTP": collector.settings.http},
            input=sent, capture_output=True, text=True,
        )  # fmt: skip
        assert bool(done.returncode) is fails, done.stderr
        return done.stderr if fails and done.stderr else done.stdout

    vips = {"name": "vips", "entry_type": "literal", "entries": ["ann"]}
    file = tmp_path / "vips.json"
    file.write_text(json.dumps(vips))
    assert json.loads(meshmeter("create", str(file)))["version"] == 1
    assert json.loads(meshmeter("show", "vips"))["entries"] == ["ann"]
    changed = json.dumps(vips | {"entries": ["ann", "bob"]})
    assert json.loads(meshmeter("update", "vips", "-", sent=changed))["version"] == 2
    assert [line["length"] for line in json.loads(meshmeter("list"))] == [2]
    assert json.loads(meshmeter("status", "vips"))["entries"] == 2
    assert json.loads(meshmeter("test", "vips", "bob"))["entry"] == "bob"
    assert not json.loads(meshmeter("test", "vips", "carl", fails=True))["on_list"]
    assert meshmeter("delete", "vips") == ""
    assert "there is no list 'vips'" in meshmeter("show", "vips", fails=True)
