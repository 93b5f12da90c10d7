"""Connections that are taken and given nothing back: half-sent heads, and too many of one address.

The server ends a head that stops coming. One that comes a byte at a time it waits for, and it
counts nobody's connections: so they are looked through here, once a second, by what the kernel
says of each. What the peer sends while no request of it is in hand and nothing is sent to it is a
head, and may take ten seconds.
Source: Linux, include/uapi/linux/tcp.h, struct tcp_info.
"""

import asyncio
import logging
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from prometheus_client import Counter as Metric
from prometheus_client import Gauge

from collector.errors import InvalidSetting

log = logging.getLogger(__name__)

EVERY_S = 1.0
HEAD_S = 10.0
BATCH = 25  # descriptors looked at before others have a turn: less than half a millisecond
PAUSE_S = 0.002
ESTABLISHED = 1
INFO_BYTES, TRAFFIC = 256, struct.Struct("QQ")
TRAFFIC_AT = 120  # bytes that were acknowledged by the peer, bytes that came from it
MAPPED = "::ffff:"  # an IPv4 peer of an IPv6 socket

OPEN = Gauge("meshmeter_connections", "connections over HTTP and gRPC")
CLOSED = Metric(
    "meshmeter_connections_closed",
    "connections ended: slow_head, or too_many of one address",
    ["reason"],
)

Peer = tuple[str, int]  # address and port, as both the kernel and the server tell them
Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class ConnectionLimits:
    """How many connections an address may have, 0: any number; those of `trusted` always may."""

    per_address: int = 0
    trusted: Sequence[Network] = ()

    @classmethod
    def named(cls, per_address: int, trusted: str) -> "ConnectionLimits":
        """`trusted`: networks, by comma. Raises InvalidSetting."""
        try:
            networks = [ip_network(each.strip()) for each in trusted.split(",") if each.strip()]
        except ValueError as error:
            raise InvalidSetting(f"MESHMETER_CONNECTIONS_TRUSTED: {error}") from error
        return cls(per_address, networks)

    def of(self, host: str) -> float:
        """The most that this address may have."""
        if not self.per_address:
            return float("inf")
        address = ip_address(host.partition("%")[0].removeprefix(MAPPED))
        if any(address in network for network in self.trusted):
            return float("inf")
        return self.per_address


class Seen(NamedTuple):
    """A connection as the kernel tells of it."""

    fd: int
    peer: Peer
    acknowledged: int
    received: int


@dataclass
class Watched:
    """What is remembered of a connection from one look to the next."""

    first_s: float
    acknowledged: int
    received: int = 0
    head_s: float | None = None  # since when a head is coming
    late: bool = False  # it was too late at the last look


@dataclass
class Guard:
    """Looks through the connections to `ports`. `busy`: requests in hand, by peer."""

    ports: frozenset[int]
    busy: Mapping[Peer | None, int]
    limits: ConnectionLimits
    _watched: dict[Peer, Watched] = field(default_factory=dict)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.look()
            except OSError:
                log.exception("Connections cannot be looked through")

    async def look(self) -> None:
        """Once through all of them."""
        now_s = time.monotonic()
        before, self._watched = self._watched, {}
        there: dict[str, list[tuple[float, Seen]]] = {}
        ended: Counter[str] = Counter()
        descriptors = open_descriptors()
        for start in range(0, len(descriptors), BATCH):
            for fd in descriptors[start : start + BATCH]:
                seen = connection(fd, self.ports)
                if seen is None:
                    continue
                known = before.get(seen.peer) or Watched(now_s, seen.acknowledged)
                self._watched[seen.peer] = known
                if self._slow(seen, known, now_s):
                    ended["slow_head"] += end(seen)
                else:
                    there.setdefault(seen.peer[0], []).append((known.first_s, seen))
            await asyncio.sleep(PAUSE_S)
        for host, of_host in there.items():
            most = self.limits.of(host)
            if len(of_host) > most:
                # Who was there first stays.
                for _, seen in sorted(of_host)[int(most) :]:
                    ended["too_many"] += end(seen)
        OPEN.set(len(self._watched))
        for reason, count in ended.items():
            CLOSED.labels(reason).inc(count)
            log.warning("Connections are closed", extra={"why": reason, "connections": count})

    def _slow(self, seen: Seen, known: Watched, now_s: float) -> bool:
        """Twice in a row: what has only just come may be answered in a moment."""
        grown = seen.received > known.received
        known.received = seen.received
        if seen.acknowledged != known.acknowledged or seen.peer in self.busy:
            known.acknowledged, known.head_s, known.late = seen.acknowledged, None, False
        elif known.late:
            return True
        elif grown and known.head_s is None:
            known.head_s = now_s
        elif grown and known.head_s is not None:
            known.late = now_s - known.head_s >= HEAD_S
        return False


def open_descriptors() -> list[int]:
    """Of this process."""
    return sorted(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208 (a path each costs more)


def connection(fd: int, ports: frozenset[int]) -> Seen | None:
    """None when the descriptor is no connection to one of the ports."""
    try:
        sock = socket.SocketType(fileno=fd)
    except OSError:
        return None  # no socket, or closed by now
    try:
        own = sock.getsockname()
        if type(own) is not tuple or own[1] not in ports:
            return None
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES)
        if info[0] != ESTABLISHED:
            return None
        return Seen(fd, sock.getpeername()[:2], *TRAFFIC.unpack_from(info, TRAFFIC_AT))
    except OSError:
        return None  # it ended meanwhile
    finally:
        sock.detach()


def end(seen: Seen) -> int:
    """1 when it was still there. The server finds it closed, and closes its side."""
    with suppress(OSError), socket.socket(fileno=os.dup(seen.fd)) as sock:
        if sock.getpeername()[:2] == seen.peer:
            sock.shutdown(socket.SHUT_RDWR)
            return 1
    return 0
