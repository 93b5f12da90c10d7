"""Everything is broken while spans are sent; what was acknowledged is stored once all the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.faults import EVERY
from chaos.verdict import CHECKS

FAULTS = len(EVERY)  # each there is, once


@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nothing_doubled_whatever_is_broken(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ["bench", "chaos", "--faults", str(FAULTS), "--seed", "7", "--report", str(report)]
    ended = subprocess.run(
        [sys.executable, "-m", "cli", *words, "--data-dir", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(report.read_text())
    assert found["faults"] == FAULTS
    assert found["acked"] == found["stored"] == found["unique"] == found["rollup"] > 0
    assert all(found["checks"].values())
    assert set(found["checks"]) == set(CHECKS)
    # Where nothing can be mounted, its disk is not filled, and something else happens twice.
    unmounted = [reason for reason in found["left_out"] if "no disk can be filled" in reason]
    assert found["left_out"] == unmounted
    assert len(found["by_fault"]) == FAULTS - len(unmounted)
    # Checks were answered by the counters and without them, and refused; ids were sent twice.
    for how in ("granted by quota", "granted by fallback", "denied by quota", "asked again"):
        assert found["asked"][how] > 0
    # Each of them was really broken, and really came back.
    for target in ("collector", "worker", "valkey", "store", "beat"):
        assert found["restarts"][target] >= 1
