"""Free ports that stay free: outside the range from which the kernel takes ports for clients."""

import random
import socket
from collections.abc import Iterator
from pathlib import Path

LOWEST = 10240
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
COMMON_LOWEST_EPHEMERAL = 32768


def free_ports() -> Iterator[int]:
    """Each once, in an order of its own, so that two demos seldom try the same."""
    ports = list(range(LOWEST, lowest_ephemeral()))
    random.shuffle(ports)
    return filter(is_free, ports)


def lowest_ephemeral() -> int:
    try:
        return int(RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return COMMON_LOWEST_EPHEMERAL


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
