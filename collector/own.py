"""Which requests are for meshmeter itself: no rule is asked about these.

A rule that refuses everything must not keep sidecars from reporting, nor people from the API that
would take it back. Only what the asker's own sidecar says counts, never a header of the request.
"""

import ipaddress
from collections.abc import Iterable, Mapping

import psutil

from collector.settings import host_port
from policy.attributes import Value

Address = tuple[bytes, int]  # packed, and the port


class Own:
    """`addresses` are host:port; a wildcard host stands for every address of this machine.

    `services` are names of `destination.service`, as sidecars before meshmeter give them.
    """

    def __init__(self, addresses: Iterable[str], services: Iterable[str]) -> None:
        self._addresses = frozenset(
            (packed, port) for host, port in map(host_port, addresses) for packed in packed_of(host)
        )
        self._ports = frozenset(port for _, port in self._addresses)
        self._services = frozenset(filter(None, services))

    def __call__(self, values: Mapping[str, Value]) -> bool:
        if values.get("destination.port") in self._ports:
            address = values.get("destination.ip"), values.get("destination.port")
            if address in self._addresses:
                return True
        return bool(self._services) and values.get("destination.service") in self._services


def packed_of(host: str) -> list[bytes]:
    """A name that is no address has none here: it is its sidecar's `destination.service`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return [ipaddress.ip_address(ip).packed for ip in ("127.0.0.1", "::1")] * (
            host == "localhost"
        )
    return local_addresses() if address.is_unspecified else [address.packed]


def local_addresses() -> list[bytes]:
    found = []
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            try:
                found.append(ipaddress.ip_address(each.address.partition("%")[0]).packed)
            except ValueError:  # a hardware address
                continue
    return found
