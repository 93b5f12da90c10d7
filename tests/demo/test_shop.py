"""The shop's plan and its small HTTP."""

import asyncio
from pathlib import Path

import pytest

from collector.sidecar.sidecar import Address, CheckProtocol
from demo.http import BadMessage, Client, Message, answer, carried, read_message, serve
from demo.plan import addresses, planned, read_addresses, write_addresses
from demo.ports import free_ports, is_free
from demo.topology import CALLERS, SERVICES, called_by
from tests.conftest import free_port

GRPC, HTTP = Address("127.0.0.1", 4317), Address("127.0.0.1", 4318)


def test_every_call_leads_to_a_route_that_exists() -> None:
    routes = {service.name: service.routes for service in SERVICES}
    calls = [call for service in SERVICES for calls in service.routes.values() for call in calls]
    asked = [call for caller in CALLERS for call in caller.asks]
    for call in calls + asked:
        assert call.path.strip("/") in routes[call.service]


def test_each_service_and_caller_has_a_sidecar_on_ports_of_its_own() -> None:
    sidecars = planned(SERVICES, CALLERS, GRPC, HTTP, free_ports())
    assert [sidecar.service for sidecar in sidecars] == [one.name for one in (*SERVICES, *CALLERS)]
    listens = [
        address.port
        for sidecar in sidecars
        for address in (
            sidecar.admin,
            sidecar.inbound,
            sidecar.app,
            *(upstream.listen for upstream in sidecar.upstreams),
        )
        if address
    ]
    assert len(listens) == len(set(listens))


def test_a_call_goes_through_both_sidecars() -> None:
    sidecars = {
        sidecar.service: sidecar for sidecar in planned(SERVICES, CALLERS, GRPC, HTTP, free_ports())
    }
    for one in (*SERVICES, *CALLERS):
        upstreams = sidecars[one.name].upstreams
        assert [upstream.service for upstream in upstreams] == called_by(one)
        for upstream in upstreams:
            assert upstream.address == sidecars[upstream.service].inbound


def test_every_check_protocol_is_shown() -> None:
    asking = set(CheckProtocol) - {CheckProtocol.NONE, CheckProtocol.RLQS}  # that one asks nobody
    assert {service.check for service in SERVICES} == asking


def test_addresses_survive_their_file(tmp_path: Path) -> None:
    found = addresses(planned(SERVICES, CALLERS, GRPC, HTTP, free_ports()))
    write_addresses(tmp_path / "addresses.json", found)
    assert read_addresses(tmp_path / "addresses.json") == found


def test_a_taken_port_is_not_free() -> None:
    async def taken() -> bool:
        port = free_port()
        async with await serve(port, fine):
            return not is_free(port)

    assert asyncio.run(taken())


async def fine(_request: Message) -> Message:
    return answer(200)


def test_a_call_is_answered_and_its_connection_kept() -> None:
    seen: list[Message] = []

    async def handle(request: Message) -> Message:
        seen.append(request)
        return answer(200 if request.path == "/stock" else 404)

    async def calls() -> list[int]:
        port = free_port()
        client = Client("inventory.shop", port)
        async with await serve(port, handle):
            statuses = [
                await client.call("GET", "/stock", {"x-request-id": "r1"}),
                await client.call("GET", "/nothing", {}),
            ]
            assert len(client.idle) == 1
            client.close()
        return statuses

    assert asyncio.run(calls()) == [200, 404]
    assert seen[0].headers["host"] == "inventory.shop"
    assert carried(seen[0]) == {"x-request-id": "r1"}


def test_a_call_to_nobody_has_no_status() -> None:
    assert asyncio.run(Client("inventory.shop", free_port()).call("GET", "/", {})) == 0


@pytest.mark.parametrize(
    "wire",
    [
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost",
        b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\ncontent-length: 9\r\n\r\nshort",
        b"GET / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n",
        b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"x" * 70_000,
    ],
    ids=["no path", "cut", "negative", "short body", "long body", "chunked", "endless line"],
)
def test_what_is_not_spoken_here_is_refused(wire: bytes) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(wire)
        reader.feed_eof()
        await read_message(reader)

    with pytest.raises(BadMessage):
        asyncio.run(read())
