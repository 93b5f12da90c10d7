"""Front-ends over a real outbox, whose reports a test can see."""

from dataclasses import replace
from pathlib import Path

from collector.model import Report
from collector.outbox import Outbox
from collector.reporter import OutboxReporter
from tests.collector.checking import services

MIB = 1024 * 1024


class Keeping:
    def __init__(self, directory: Path, max_bytes: int = 64 * MIB) -> None:
        self.outbox = Outbox(directory, max_bytes, ballast_bytes=MIB)
        self.services = replace(services(), reporter=OutboxReporter(self.outbox))

    def reports(self) -> list[Report]:
        """Those that came since it was last asked; there is room for others then."""
        found: list[Report] = []
        while group := self.outbox.freeze_group(MIB):
            found += self.outbox.read_group(group)
            self.outbox.mark_done(group)
        return found
