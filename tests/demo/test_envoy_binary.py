"""Finding the Envoy program."""

from pathlib import Path

import pytest

from collector.errors import InvalidSetting
from demo.envoy_binary import envoy_binary


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_variable_wins(tmp_path: Path) -> None:
    named = program(tmp_path / "my-envoy")
    assert envoy_binary({"MESHMETER_ENVOY": str(named)}) == named


def test_a_variable_that_names_no_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="is not a program"):
        envoy_binary({"MESHMETER_ENVOY": str(tmp_path / "none")})


def test_the_environment_beside_the_program_comes_before_the_path(tmp_path: Path) -> None:
    beside = program(tmp_path / ".venv-envoy/lib/python3.11/site-packages/envoy/_bin/envoy")
    on_path = program(tmp_path / "bin" / "envoy")
    path = {"PATH": str(on_path.parent)}
    assert envoy_binary(path, home=tmp_path) == beside
    assert envoy_binary(path, home=tmp_path / "elsewhere") == on_path


def test_no_envoy_anywhere_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"\./meshmeter demo"):
        envoy_binary({"PATH": ""}, home=tmp_path)
