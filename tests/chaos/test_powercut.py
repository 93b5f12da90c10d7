"""Power cuts lose nothing that was acknowledged, and where none can be made that is said."""

import json
import os
import subprocess
import sys

CUTS = 3


def cut(**environ: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "cli", "bench", "powercut", "--cuts", str(CUTS)]
    return subprocess.run(words, env=os.environ | environ, capture_output=True, text=True)


def test_what_was_acknowledged_survives_power_cuts_wherever_they_can_be_made():
    ended = cut()
    if ended.returncode == 2:  # no root or no loop mounts
        assert "power cannot be cut here" in ended.stderr
        return
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["cuts"], found["lost"]) == (CUTS, 0)
    assert found["acknowledged"] > 0


def test_where_nothing_can_be_mounted_it_is_said():
    ended = cut(PATH="/nowhere")
    assert ended.returncode == 2
    assert "power cannot be cut here: there is no mkfs.ext4" in ended.stderr
