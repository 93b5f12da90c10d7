"""Serves the door on h2corn: HTTP/1.1 and cleartext HTTP/2 on every address, then drains.

Why h2corn and with which limits: docs/adr/0001-grpc-on-h2corn.md.
"""

import asyncio
import logging
import resource
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import h2corn

from collector.transport.asgi import Door
from collector.transport.connections import ConnectionLimits, Guard
from collector.transport.listening import hold_back, listener, refuse

log = logging.getLogger(__name__)

ACCEPT_S = 0.05  # for what the kernel has already connected
QUIESCE_S = 0.2  # for h2corn to stop accepting: a refused accept would end it
STREAM_WINDOW = 1024 * 1024  # bytes
OWN_FILES = 256  # for the outbox, the store, the counters, logs: not for connections
MAX_CONNECTIONS = 16_384
Addresses = Sequence[tuple[str, int]]


def connection_limit() -> int:
    """Fewer than the process may have open files: an accept that fails for want of one ends h2corn.

    Half of a small limit is for connections.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MAX_CONNECTIONS, max(files - OWN_FILES, files // 2))


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
        # What a peer that is held back may have in our memory.
        h2_initial_stream_window_size=STREAM_WINDOW,
        h2_initial_connection_window_size=4 * STREAM_WINDOW,
        limit_connections=connection_limit(),
        timeout_request_header=10.0,
        timeout_request_body_idle=15.0,  # reading.BODY_S ends it first, with an answer
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
    limits: ConnectionLimits | None = None,
) -> None:
    """Serves until `stop` is set, then answers what is in flight and returns.

    After the stop /readyz says no for `notice_s`; then connections get GOAWAY, streams end when
    what has arrived is read, and whatever still runs after `drain_s` is cancelled. `started` is
    called with the addresses in use. `limits`: of connections; none but of the process by default.
    Raises InvalidSetting when an address cannot be had.
    """
    with ExitStack() as owned:
        listeners = [
            owned.enter_context(listener(address, reuse_port=reuse_port)) for address in addresses
        ]
        server = h2corn.Server(door, config(listeners, drain_s))
        serving = asyncio.create_task(server.serve())
        starting = asyncio.create_task(server.wait_started())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({serving, starting}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done() and not starting.exception():
                bound = [sock.getsockname()[:2] for sock in listeners]
                log.info("Serving", extra={"addresses": bound})
                ports = frozenset(port for _, port in bound)
                guard = Guard(ports, door.busy, limits or ConnectionLimits())
                guarding = asyncio.create_task(guard.run())
                owned.callback(guarding.cancel)
                if started is not None:
                    started(bound)
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            door.lose_readiness()
            if not serving.done():
                await asyncio.sleep(notice_s)
        finally:
            starting.cancel()
            stopping.cancel()
            if not serving.done():
                await drain(door, server, listeners)
            await serving


async def drain(door: Door, server: h2corn.Server, listeners: Sequence[socket.socket]) -> None:
    """New connections wait, those there are told to go, then new ones are refused."""
    for sock in listeners:
        hold_back(sock)
    await asyncio.sleep(ACCEPT_S)
    server.shutdown()
    door.end_streams()
    await asyncio.sleep(QUIESCE_S)
    for sock in listeners:
        refuse(sock)
