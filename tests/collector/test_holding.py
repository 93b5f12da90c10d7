"""What is held for a full outbox, and for how long."""

import asyncio

import pytest

from collector.errors import Overloaded
from collector.frontends.holding import ROOM_BYTES, Holding
from collector.model import Report, Signal

SMALL = Report(Signal.ZIPKIN_JSON, b"[]", 0)
LARGE = Report(Signal.ZIPKIN_JSON, bytes(ROOM_BYTES), 0)


class Outbox:
    """Full for the first `refusals` that are brought to it."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.stored: list[Report] = []
        self.asked = asyncio.Event()

    async def report(self, report: Report) -> None:
        self.asked.set()
        if self.refusals:
            self.refusals -= 1
            raise Overloaded("full")
        self.stored.append(report)


def test_a_report_is_brought_again_until_there_is_room():
    async def hold() -> list[Report]:
        outbox = Outbox(refusals=3)
        await Holding(outbox, "zipkin").report(SMALL)
        return outbox.stored

    assert asyncio.run(hold()) == [SMALL]


def test_it_is_given_up_in_the_end():
    async def hold() -> None:
        outbox = Outbox(refusals=10**9)
        with pytest.raises(Overloaded):
            await Holding(outbox, "zipkin", longest_s=0.1).report(SMALL)
        assert outbox.stored == []

    asyncio.run(hold())


def test_nothing_is_held_beyond_the_room_there_is():
    async def hold() -> None:
        outbox = Outbox(refusals=10**9)
        holding = Holding(outbox, "zipkin", longest_s=60)
        held = asyncio.create_task(holding.report(LARGE))
        await outbox.asked.wait()
        with pytest.raises(Overloaded):
            await holding.report(SMALL)
        outbox.refusals = 0
        await held
        await holding.report(SMALL)
        assert outbox.stored == [LARGE, SMALL]

    asyncio.run(hold())
