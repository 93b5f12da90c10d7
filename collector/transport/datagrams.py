"""A UDP socket that listens, and what the kernel could not put into it."""

import os
import socket
from contextlib import suppress
from pathlib import Path

from collector.errors import InvalidSetting
from collector.settings import host_port

RECEIVE_BYTES = 4 * 1024 * 1024  # what may wait while the loop is busy
SO_RCVBUFFORCE = 33  # Linux; above the system's limit, for who may do so
INODE, DROPS = 9, 12  # columns of the kernel's table of sockets


def datagram_socket(address: str) -> socket.socket:
    """Raises InvalidSetting, naming the address, when it cannot be had."""
    host, port = host_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    with suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise InvalidSetting(f"cannot listen on {address}: {error.strerror}") from error
    return sock


def lost_datagrams(sock: socket.socket) -> int:
    """Those dropped for want of room since it was opened; 0 when it is closed."""
    if sock.fileno() < 0:
        return 0
    inode = str(os.fstat(sock.fileno()).st_ino)
    table = "udp6" if sock.family == socket.AF_INET6 else "udp"
    for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[INODE] == inode:
            return int(columns[DROPS])
    return 0
