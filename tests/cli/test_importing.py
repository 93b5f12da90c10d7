"""`meshmeter rules import` and `export` against a real collector."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bad_input.live import LiveCollector

LIMITS = """domain: shop
descriptors:
- key: user
  rate_limit: {unit: hour, requests_per_unit: 1}
- key: free
"""
BROKEN = "- {key: other, rate_limit: {unit: fortnight}}\n"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[LiveCollector]:
    live = LiveCollector(tmp_path_factory.mktemp("collector"), redis_url)
    yield live
    live.kill()


class Command:
    def __init__(self, collector: LiveCollector, directory: Path) -> None:
        self._environ = os.environ | collector.settings.to_environ()
        self._directory = directory

    def __call__(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", "rules", *words],
            env=self._environ | {"PYTHONPATH": str(Path.cwd())},
            cwd=self._directory,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def file(self, name: str, text: str) -> str:
        (self._directory / name).write_text(text)
        return name


@pytest.fixture
def rules(collector: LiveCollector, tmp_path: Path) -> Command:
    return Command(collector, tmp_path)


IGNORED = "a.yaml:5:3: ignored: /descriptors/1: limits nothing, so there is no rule for it\n"
UNIT = (
    "a.yaml:6:28: refused: /descriptors/2/rate_limit: unit 'fortnight', expected one of second,"
    " minute, hour, day, week, month, year\n"
)


def test_an_import_says_what_it_made_and_what_it_noted(rules):
    file = rules.file("a.yaml", LIMITS)
    tried = rules("import", file, "--prefix", "one", "--dry-run")
    made = rules("import", file, "--prefix", "one")
    again = rules("import", file, "--prefix", "one")
    counted = (
        "made rule one-shop-user\n1 made, 0 changed, 0 unchanged; 0 refused, 0 changed, 1 ignored"
    )
    assert (tried.returncode, tried.stdout) == (
        0,
        f"{IGNORED}{counted}; nothing is stored: a dry run\n",
    )
    assert (made.returncode, made.stdout) == (0, f"{IGNORED}{counted}\n")
    assert again.stdout == (
        f"{IGNORED}0 made, 0 changed, 1 unchanged; 0 refused, 0 changed, 1 ignored\n"
    )


def test_nothing_is_stored_when_a_part_is_refused_unless_that_is_asked_for(rules):
    file = rules.file("a.yaml", LIMITS + BROKEN)
    refused = rules("import", file, "--prefix", "two")
    assert (refused.returncode, IGNORED in refused.stdout) == (1, True)
    assert refused.stdout.endswith(UNIT)
    assert refused.stderr == "meshmeter: 1 part is refused; nothing is stored\n"
    assert rules("show", "two-shop-user").returncode == 1
    partly = rules("import", file, "--prefix", "two", "--partial")
    assert partly.returncode == 0
    assert rules("show", "two-shop-user").returncode == 0


def test_a_dry_run_of_what_would_be_refused_ends_with_1(rules):
    file = rules.file("a.yaml", LIMITS + BROKEN)
    tried = rules("import", file, "--prefix", "three", "--dry-run")
    assert (tried.returncode, UNIT in tried.stdout) == (1, True)


def test_what_is_exported_is_unchanged_when_it_is_imported_again(rules):
    rules("import", "-", "--prefix", "four", given=LIMITS)
    exported = rules("export")
    assert "name: four-shop-user\n" in exported.stdout
    again = rules("import", "-", given=exported.stdout)
    assert (again.returncode, "0 made, 0 changed" in again.stdout) == (0, True)
    assert rules("export", "saved.yaml").returncode == 0
    assert rules("import", "saved.yaml").returncode == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("import", "absent.yaml"), "meshmeter: absent.yaml cannot be read: No such file"),
        (("export", "absent/a.yaml"), "meshmeter: absent/a.yaml cannot be written: No such file"),
        (("import", "-", "--prefix", "A"), "meshmeter: /prefix: expected a DNS label"),
        (("import", "-", "--format", "xml"), "meshmeter: /format: expected one of auto"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(rules, words, reason):
    said = rules(*words)
    assert said.returncode == 1
    assert said.stderr.startswith(reason)
    assert said.stderr.count("\n") == 1
