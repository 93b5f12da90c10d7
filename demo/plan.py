"""The shop laid out on this machine: a sidecar for each service and caller, and their ports."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from collector.sidecar.sidecar import Address, CheckProtocol, Sidecar, Upstream
from demo.topology import Caller, Service, called_by


@dataclass(frozen=True)
class Addresses:
    """A service's own port (0: none), and by service called the port of its sidecar for it."""

    listen: int
    calls: Mapping[str, int]


def planned(
    services: Iterable[Service],
    callers: Iterable[Caller],
    grpc: Address,
    http: Address,
    ports: Iterator[int],
) -> list[Sidecar]:
    """One sidecar each; callers have no inbound side."""
    services = list(services)
    inbound = {service.name: local(ports) for service in services}

    def sidecar(one: Service | Caller) -> Sidecar:
        name, _, namespace = one.name.partition(".")
        called = isinstance(one, Service)
        return Sidecar(
            service=one.name,
            node=f"{name}-1.{namespace}",
            collector_grpc=grpc,
            collector_http=http,
            admin=local(ports),
            inbound=inbound[one.name] if called else None,
            app=local(ports) if called else None,
            upstreams=tuple(
                Upstream(callee, inbound[callee], local(ports)) for callee in called_by(one)
            ),
            check=one.check if isinstance(one, Service) else CheckProtocol.NONE,
        )

    return [*map(sidecar, services), *map(sidecar, callers)]


def local(ports: Iterator[int]) -> Address:
    return Address("127.0.0.1", next(ports))


def addresses(sidecars: Iterable[Sidecar]) -> dict[str, Addresses]:
    """What the applications need to know of their sidecars."""
    return {
        sidecar.service: Addresses(
            sidecar.app.port if sidecar.app else 0,
            {upstream.service: upstream.listen.port for upstream in sidecar.upstreams},
        )
        for sidecar in sidecars
    }


def write_addresses(path: Path, found: Mapping[str, Addresses]) -> None:
    path.write_text(json.dumps({name: asdict(entry) for name, entry in found.items()}))


def read_addresses(path: Path) -> dict[str, Addresses]:
    return {name: Addresses(**entry) for name, entry in json.loads(path.read_text()).items()}
