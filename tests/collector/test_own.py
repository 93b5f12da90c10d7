"""Requests for meshmeter itself."""

import asyncio
import ipaddress
import socket

import pytest

from collector.checker import EngineChecker
from collector.decisions.log import DecisionLog
from collector.own import Own
from policy.attributes import AttributeBag, Value
from policy.engine import Engine
from policy.quota.memory import MemoryCounters
from policy.results import DecidedBy, Decision
from policy.snapshot import compile_snapshot
from tests.collector.policy_parts import Reports
from tests.policy.objects import deny

LOOPBACK = ipaddress.ip_address("127.0.0.1").packed
OWN = Own(["127.0.0.1:4318", "[::1]:4317", "localhost:8050"], ["meter.mesh", ""])


@pytest.mark.parametrize(
    ("bag", "own"),
    [
        ({"destination.ip": LOOPBACK, "destination.port": 4318}, True),
        ({"destination.ip": LOOPBACK, "destination.port": 8050}, True),
        ({"destination.ip": ipaddress.ip_address("::1").packed, "destination.port": 4317}, True),
        ({"destination.ip": LOOPBACK, "destination.port": 80}, False),
        ({"destination.ip": b"\x0a\x00\x00\x01", "destination.port": 4318}, False),
        ({"destination.port": 4318}, False),
        ({"request.host": "127.0.0.1:4318"}, False),  # whoever calls may write that
        ({"destination.service": "meter.mesh"}, True),
        ({"destination.service": "cart.shop"}, False),
        ({"destination.service": ""}, False),
        ({}, False),
    ],
)
def test_only_the_sidecar_can_say_that_a_request_is_for_meshmeter(
    bag: dict[str, Value], own: bool
) -> None:
    assert OWN(bag) is own


def test_a_wildcard_stands_for_every_address_of_the_machine() -> None:
    everywhere = Own(["0.0.0.0:4318"], [])
    host = ipaddress.ip_address(socket.gethostbyname(socket.gethostname())).packed
    for address in (LOOPBACK, host):
        assert everywhere({"destination.ip": address, "destination.port": 4318})


def test_no_rule_refuses_what_is_for_meshmeter() -> None:
    engine = Engine(MemoryCounters(), compile_snapshot([deny(match="")], 3))
    checker = EngineChecker(engine, DecisionLog(Reports()), 0, OWN)

    async def check(service: str) -> Decision:
        bag = AttributeBag({"destination.service": service})
        decision = checker.check(bag, protocol="test")
        assert isinstance(decision, Decision)
        return decision

    own, other = asyncio.run(check("meter.mesh")), asyncio.run(check("cart.shop"))
    assert (own.allowed, own.decided_by, bool(own.id)) == (True, DecidedBy.OWN, True)
    assert not other.allowed
