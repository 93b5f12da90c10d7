"""The production set, as far as it can be checked without a Docker engine."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cli.main import app

ROOT = Path(__file__).parents[2]
OWN = ("migrate", "collector", "worker", "beat", "dashboard")
SECRETS = {
    "MESHMETER_INTERNAL_TOKEN": "t",
    "MESHMETER_POSTGRES_PASSWORD": "p",
    "MESHMETER_CLICKHOUSE_PASSWORD": "c",
}


def config(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker-compose", "config"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, dict]:
    answer = config(SECRETS)
    assert answer.returncode == 0, answer.stderr
    return yaml.safe_load(answer.stdout)["services"]


def test_the_file_is_refused_without_its_secrets():
    answer = config({})
    assert answer.returncode != 0
    assert "set it" in answer.stderr


def test_it_holds_the_production_set(services):
    assert {*OWN, "clickhouse", "valkey", "postgres"} == set(services)


@pytest.mark.parametrize("name", OWN)
def test_each_command_exists(services, name):
    answer = CliRunner().invoke(app, [*services[name]["command"], "--help"])
    assert answer.exit_code == 0, answer.output


@pytest.mark.parametrize("name", [name for name in OWN if name != "migrate"])
def test_each_process_is_asked_for_its_health_by_a_command_that_exists(services, name):
    words = services[name]["healthcheck"]["test"]
    assert words[:3] == ["CMD", "meshmeter", "health"]
    assert CliRunner().invoke(app, [*words[2:3], "--help"]).exit_code == 0


@pytest.mark.parametrize("name", ["clickhouse", "valkey", "postgres", "collector"])
def test_what_must_last_is_in_a_volume(services, name):
    assert services[name]["volumes"]


def test_every_variable_it_sets_is_a_setting(services):
    from collector.settings import Settings

    names = {name for own in OWN for name in services[own]["environment"]}
    assert names <= set(Settings().to_environ())


def test_the_image_installs_what_its_process_needs():
    copied = (ROOT / "Dockerfile").read_text()
    assert "requirements/server.txt" in copied
    pinned = (ROOT / "requirements/server.txt").read_text()
    assert "clickhouse-driver==" in pinned
    assert "chdb" not in pinned
