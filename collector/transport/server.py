"""Serves the door on h2corn: HTTP/1.1 and cleartext HTTP/2 on every address, then drains.

Why h2corn and with which limits: docs/adr/0001-grpc-on-h2corn.md.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import h2corn

from collector.errors import InvalidSetting
from collector.settings import host_port
from collector.transport.asgi import Door

log = logging.getLogger(__name__)

BACKLOG = 4096
Addresses = Sequence[tuple[str, int]]


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


def config(listeners: Sequence[socket.socket], drain_s: float) -> h2corn.Config:
    return h2corn.Config(
        bind=tuple(f"fd://{sock.fileno()}" for sock in listeners),
        grpc=True,
        access_log=False,
        log_format="text" if sys.stderr.isatty() else "json",
        date_header=False,
        runtime_threads=1,  # a second costs a quarter more CPU at one call in flight
        max_concurrent_streams=1024,  # of one Envoy worker's connection
        limit_request_head_size=64 * 1024,
        h2_max_header_list_size=64 * 1024,
        h2_max_header_block_size=64 * 1024,
        timeout_request_header=10.0,
        timeout_request_body_idle=10.0,
        timeout_keep_alive=0.0,  # sidecars hold quiet connections; closing one fails a check
        timeout_graceful_shutdown=drain_s,
    )


async def serve(
    door: Door,
    addresses: Sequence[str],
    stop: asyncio.Event,
    *,
    reuse_port: bool = False,
    notice_s: float = 0.0,
    drain_s: float = 30.0,
    started: Callable[[Addresses], None] | None = None,
) -> None:
    """Serves until `stop` is set, then answers what is in flight and returns.

    After the stop /readyz says no for `notice_s`; then connections get GOAWAY, streams end when
    what has arrived is read, and whatever still runs after `drain_s` is cancelled. `started` is
    called with the addresses in use. Raises InvalidSetting when an address cannot be had.
    """
    with ExitStack() as owned:
        listeners = [
            owned.enter_context(listener(address, reuse_port=reuse_port)) for address in addresses
        ]
        server = h2corn.Server(door, config(listeners, drain_s))
        serving = asyncio.create_task(server.serve())
        stopping = asyncio.create_task(stop.wait())
        starting = asyncio.create_task(server.wait_started())
        try:
            await asyncio.wait({serving, starting}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done() and not starting.exception():
                bound = [sock.getsockname()[:2] for sock in listeners]
                if started is not None:
                    started(bound)
                log.info("Serving", extra={"addresses": bound})
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            door.lose_readiness()
            if not serving.done():
                await asyncio.sleep(notice_s)
        finally:
            stopping.cancel()
            starting.cancel()
            door.lose_readiness()
            server.shutdown()
            door.end_streams()
            await serving
