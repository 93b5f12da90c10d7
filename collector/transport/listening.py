"""Listening sockets that can be given up without losing a connection.

h2corn keeps a copy of its listeners while it drains. So closing ours would leave the address
with a listener nobody reads: the kernel would complete connections into it and reset them later.
"""

import ctypes
import socket
import struct
from contextlib import suppress

from collector.errors import InvalidSetting
from collector.settings import host_port

BACKLOG = 4096
SO_ATTACH_FILTER = 26  # Linux, asm-generic/socket.h
DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)  # classic BPF: return 0, keep nothing


def listener(address: str, *, reuse_port: bool = False) -> socket.socket:
    """Raises InvalidSetting, naming the address, when it cannot be had."""
    host, port = host_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise InvalidSetting(f"cannot listen on {address}: {error.strerror}") from error
    return sock


def hold_back(sock: socket.socket) -> None:
    """Ignores those who knock from now on. They knock again after a second, and then find the
    process that shares the port, or that the address is refused."""
    program = ctypes.create_string_buffer(DROP_ALL)
    filter_ = struct.pack("HxxxxxxP", 1, ctypes.addressof(program))
    with suppress(OSError):  # without it a few connections are reset in a rolling restart
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_)


def refuse(sock: socket.socket) -> None:
    """Takes the address back, from every copy of the socket. Ends a pending accept with EINVAL."""
    with suppress(OSError):  # no longer listening
        sock.shutdown(socket.SHUT_RDWR)
