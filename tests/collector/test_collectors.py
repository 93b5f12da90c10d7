"""Every collector that lives is listed, with what it runs: two real ones over one Valkey."""

from dataclasses import replace
from typing import Any

from typer.testing import CliRunner

from cli.main import app
from observe import VERSION
from tests import plain_http
from tests.bad_input.live import LiveCollector
from tests.collector.test_two_collectors import QUOTA
from tests.conftest import ValkeyProcess
from tests.waiting import eventually


def told(collector: LiveCollector) -> dict[str, Any]:
    answer = plain_http.get(f"{collector.url}/api/v1/collectors")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def urls(collector: LiveCollector) -> set[str]:
    return {each["url"] for each in told(collector)["collectors"]}


def versions(collector: LiveCollector) -> list[int]:
    return [each["snapshot_version"] for each in told(collector)["collectors"]]


def behind(collector: LiveCollector) -> list[dict[str, Any]]:
    return [each for each in told(collector)["collectors"] if each["behind"]]


def test_all_that_live_are_listed_with_the_rules_that_they_run(
    pair: list[LiveCollector], valkey: ValkeyProcess
) -> None:
    one, two = pair
    eventually(lambda: urls(one) == urls(two) == {one.url, two.url})
    assert plain_http.post(f"{one.url}/api/v1/rules", json=QUOTA).status_code == 201
    eventually(lambda: versions(one) == versions(two) == [1, 1])

    eventually(lambda: all(each["store"] for each in told(one)["collectors"]))
    found = told(one)
    assert (found["newest"], found["live"], found["complete"], found["why"]) == (1, 2, True, "")
    assert len({each["id"] for each in found["collectors"]}) == 2
    for each in found["collectors"]:
        assert each["version"] == VERSION
        assert each["started_at"] < each["taken_at"] < each["last_seen_at"]
        assert (each["ready"], each["not_ready"], each["failing"]) == (True, {}, "")
        assert (each["behind"], each["behind_s"], each["counters"]) == (False, 0, "")
        assert each["store"].startswith("no answer from ClickHouse at 127.0.0.1")  # there is none

    shown = CliRunner(env=one.settings.to_environ()).invoke(app, ["collectors"])
    assert shown.exit_code == 0, shown.output
    heads, *rows, summary = shown.output.splitlines()
    assert (heads.split()[0], len(rows)) == ("host", 2)
    assert summary == "the newest rules are version 1; 2 collectors live"

    two.kill()
    assert urls(one) == {one.url, two.url}  # it may still come back
    eventually(lambda: urls(one) == {one.url})
    two.settings = replace(two.settings, rules_poll_s=3600)
    two.start()
    eventually(lambda: urls(one) == {one.url, two.url})
    assert plain_http.post(f"{one.url}/api/v1/rules/mobile-hourly/disable").is_success
    for asked in pair:
        # What the other one says of itself may be a second old.
        eventually(lambda asked=asked: [each["url"] for each in behind(asked)] == [two.url])
        lagging = behind(asked)
        assert lagging[0]["snapshot_version"] == 1
        eventually(lambda asked=asked, at=lagging[0]: behind(asked)[0]["behind_s"] > at["behind_s"])

    valkey.kill()
    found = told(one)
    assert (found["complete"], found["live"]) == (False, 2)
    assert found["why"]
    assert [each["url"] for each in found["collectors"]] == [one.url]
    eventually(lambda: told(one)["collectors"][0]["counters"])
    shown = CliRunner(env=one.settings.to_environ()).invoke(app, ["collectors"])
    assert shown.output.splitlines()[-1].startswith("the others are not known: ")
    valkey.start()
    eventually(lambda: urls(one) == urls(two) == {one.url, two.url})
