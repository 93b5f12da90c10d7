"""What was acknowledged between all that was refused, after the process is killed."""

from pathlib import Path

from collector.outbox import Outbox
from tests.bad_input import bodies
from tests.bad_input.live import MIB, LiveCollector


def test_every_acknowledged_request_survives_a_kill(tmp_path: Path) -> None:
    collector = LiveCollector(tmp_path)
    for bad in (bodies.NOISE, bodies.CUT, bodies.JSON_TEXT, bytes(17 * MIB)) * 5:
        assert collector.post(bad).is_client_error
        collector.send_good()
    collector.kill()
    outbox = Outbox(tmp_path, 64 * MIB)
    reports = outbox.read_group(outbox.freeze_group(64 * MIB))
    outbox.close()
    assert [report.body for report in reports] == collector.good
