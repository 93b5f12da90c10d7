"""The API's acts from a terminal, against a live collector."""

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from tests.bad_input.live import LiveCollector

REQUEST = json.dumps({"source.service": "a", "destination.service": "cart"})
QUOTA = {
    "kind": "quota", "name": "calm", "match": 'destination.service == "cart"',
    "limit": 2, "window": 3600, "algorithm": "fixed-window", "dimensions": ["source.service"],
    "draft": {"limit": 1, "window": 3600, "algorithm": "fixed-window"},
}  # fmt: skip


@pytest.fixture
def collector(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[LiveCollector]:
    # The counters answer, however busy the machine is.
    live = LiveCollector(tmp_path_factory.mktemp("collector"), redis_url, check_deadline_s=5.0)
    yield live
    live.kill()


def run(collector: LiveCollector, *words: str, code: int = 0, text: str = "") -> Result:
    runner = CliRunner(env=collector.settings.to_environ())
    answer = runner.invoke(app, words, input=text)
    assert answer.exit_code == code, answer.output
    return answer


def make(collector: LiveCollector, name: str) -> None:
    rule = QUOTA | {"name": name}
    run(collector, "rules", "create", "-", text=json.dumps(rule))


def test_a_check_says_what_was_decided_and_how_by_its_exit_code(collector: LiveCollector) -> None:
    make(collector, "asked")
    check = ("check", "--attributes", REQUEST)
    first = run(collector, *check).output.splitlines()
    assert first[0] == "allowed by asked@1 (quota)"
    assert "  1 of 2 left for a" in first
    assert "  draft of asked would allow" in first
    second = run(collector, *check).output
    assert "  draft of asked would deny: quota asked is exhausted" in second.splitlines()
    denied = run(collector, *check, code=1).output.splitlines()
    assert denied[:2] == ["denied with 429 by asked@1 (quota)", "  quota asked is exhausted"]
    assert json.loads(run(collector, *check, "--json", code=1).output)["allowed"] is False
    assert run(collector, *check, "--hits", "0").output.startswith("allowed")
    run(collector, "check", "--attributes", '{"no.such": 1}', code=2)


def test_usage_is_shown_reset_and_given_back(collector: LiveCollector) -> None:
    make(collector, "metered")
    for _ in range(2):
        run(collector, "check", "--attributes", REQUEST)
    lines = run(collector, "quotas", "usage", "metered").output.splitlines()
    assert lines[0].split()[:2] == ["key", "limit"]
    assert ["a", "0", "2", "0", "2", "0"] in [line.split()[:6] for line in lines]
    run(collector, "quotas", "grant", "metered", "1", "--key", "a", "--reason", "a busy day")
    run(collector, "check", "--attributes", REQUEST)
    run(collector, "check", "--attributes", REQUEST, code=1)
    run(collector, "quotas", "reset", "metered", "--key", "a", "--reason", "again")
    run(collector, "check", "--attributes", REQUEST)
    audit = run(collector, "rules", "audit").output
    for words in ("a busy day", "grant", "reset", "metered"):
        assert words in audit


def test_versions_differ_and_are_gone_back_to(collector: LiveCollector) -> None:
    make(collector, "first")
    run(collector, "rules", "shadow", "first")
    listed = run(collector, "rules", "versions").output.splitlines()
    assert listed[0].split()[:3] == ["version", "time", "actor"]
    assert [line.split()[0] for line in listed[1:3]] == ["2", "1"]
    found = run(collector, "rules", "diff", "1", "2").output
    assert "/mode: 'enabled' -> 'shadow'" in found
    run(collector, "rules", "rollback", "1", "--reason", "it was better")
    assert json.loads(run(collector, "rules", "show", "first").output)["mode"] == "enabled"
    told = json.loads(run(collector, "rules", "audit", "--json", "--limit", "1").output)
    assert told[0]["reason"] == "it was better"
