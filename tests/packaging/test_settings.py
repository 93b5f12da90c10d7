import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from collector.errors import InvalidSetting
from collector.settings import PREFIX, Settings, host_port, shown

DOCS = (Path(__file__).parents[2] / "docs/settings.md").read_text()


@pytest.mark.parametrize("entry", fields(Settings), ids=lambda entry: entry.name)
def test_every_setting_is_documented(entry):
    assert f"`{PREFIX}{entry.name.upper()}`" in DOCS
    assert entry.metadata["help"] in DOCS


def test_a_setting_of_the_wrong_type_is_named():
    with pytest.raises(InvalidSetting, match="MESHMETER_MAX_BODY_BYTES='many' is not int"):
        Settings.from_environ({"MESHMETER_MAX_BODY_BYTES": "many"})


def test_settings_survive_the_way_to_a_child():
    settings = Settings.from_environ(
        {"MESHMETER_HTTP": "127.0.0.1:1", "MESHMETER_LOG_LEVEL": "DEBUG"}
    )
    assert Settings.from_environ(settings.to_environ()) == settings


@pytest.mark.parametrize("text", ["localhost", ":80", "127.0.0.1:x", "127.0.0.1:65536", ""])
def test_an_address_without_host_or_port_is_refused(text):
    with pytest.raises(InvalidSetting, match="is not host:port"):
        host_port(text)


def test_an_ipv6_address_loses_its_brackets():
    assert host_port("[::1]:4317") == ("::1", 4317)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("clickhouse://me:s3cret@host:9000/mesh", "clickhouse://me:***@host:9000/mesh"),
        ("redis://:s3cret@host/0", "redis://:***@host/0"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("sqlite:////data/a@b:c/rules.sqlite", "sqlite:////data/a@b:c/rules.sqlite"),
    ],
)
def test_a_url_is_shown_without_its_password(url, text):
    assert shown(url) == text


def test_no_secret_is_printed():
    environ = {
        "PATH": os.environ["PATH"],
        f"{PREFIX}INTERNAL_TOKEN": "planted-token",
        f"{PREFIX}RULES_URL": "postgresql+psycopg://me:planted-password@host/rules",
    }
    printed = subprocess.run(
        [sys.executable, "-m", "cli", "settings"], env=environ, capture_output=True, text=True
    )
    assert printed.returncode == 0
    assert "postgresql+psycopg://me:***@host/rules" in printed.stdout
    assert "planted" not in printed.stdout
