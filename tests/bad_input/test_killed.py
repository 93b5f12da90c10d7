"""What was acknowledged between all that was refused, after the process is killed."""

from pathlib import Path

from collector.outbox import Outbox
from tests.bad_input import bodies
from tests.bad_input.live import MIB, LiveCollector


def test_every_acknowledged_request_survives_a_kill(tmp_path: Path, redis_url: str) -> None:
    collector = LiveCollector(tmp_path, redis_url)
    for bad in (bodies.NOISE, bodies.CUT, bodies.JSON_TEXT, bytes(17 * MIB)) * 5:
        assert collector.post(bad).is_client_error
        collector.send_good()
    collector.kill()
    outbox = Outbox(tmp_path / "outbox", 64 * MIB)
    last = outbox.freeze_group(64 * MIB) or len(collector.good)
    stored = [report.body for group in range(1, last + 1) for report in outbox.read_group(group)]
    outbox.close()
    assert stored == collector.good
