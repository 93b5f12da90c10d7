"""The embedded store's process: arguments, start, stop."""

import argparse
import ipaddress
import logging
import os
import signal
import socket
import threading
import time
from pathlib import Path

from embedded.store.engine import Engine
from embedded.store.errors import CannotStart
from embedded.store.server import Server
from observe import configure_logging, serve_health

log = logging.getLogger(__name__)

GRACE_S = 10
CANNOT_START = 2  # exit code
LEAST_MEMORY = 256 << 20  # bytes; the engine itself takes that
MEMORY = 2 << 30


def run(data_dir: Path, listen: str, health: str, memory_bytes: int = MEMORY) -> int:
    """Serves until SIGTERM or SIGINT; the exit code. `listen` and `health` are host:port, port 0
    for any free one; an empty `health` serves none. Logging is the caller's."""
    try:
        serve(data_dir, listen, health, memory_bytes)
    except CannotStart as reason:
        log.error("the embedded ClickHouse cannot start", extra={"reason": str(reason)})  # noqa: TRY400
        return CANNOT_START
    return 0


def serve(data_dir: Path, listen: str, health: str, memory_bytes: int) -> None:
    """Raises CannotStart."""
    began = time.monotonic()
    if memory_bytes < LEAST_MEMORY:
        raise CannotStart(f"{memory_bytes} bytes of memory; at least {LEAST_MEMORY} are needed")
    listener = listen_at(listen)
    opened: list[Engine] = []  # the addresses are had before the engine, which takes a second
    health_server = None
    if health:
        host, port = loopback(health)
        ready = {"engine": lambda: opened[0].check() if opened else "starting"}
        try:
            health_server = serve_health(host, port, ready)
        except OSError as error:
            raise CannotStart(f"cannot listen at {health} ({strerror(error)})") from error
    engine = Engine(data_dir, memory_bytes)
    opened.append(engine)
    server = Server(engine, listener)
    stopping = threading.Event()
    # After the engine, which sets handlers of its own.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    server.start()
    log.info(
        "the embedded ClickHouse is ready",
        extra={
            "listen": address_of(listener),
            "health": address_of(health_server.socket) if health_server else "",
            "version": ".".join(map(str, engine.version)),
            "data_dir": str(data_dir),
            "pid": os.getpid(),
            "seconds": round(time.monotonic() - began, 2),
        },
    )
    stopping.wait()
    log.info("the embedded ClickHouse is stopping")
    server.stop(GRACE_S)
    if health_server:
        health_server.shutdown()
        health_server.server_close()
    engine.close()


def listen_at(address: str) -> socket.socket:
    host, port = loopback(address)
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise CannotStart(f"cannot listen at {address} ({strerror(error)})") from error


def strerror(error: OSError) -> str:
    """Without what `socket` adds to it."""
    return os.strerror(error.errno) if error.errno else str(error)


def loopback(address: str) -> tuple[str, int]:
    """Host and port. Raises CannotStart for one that other machines could reach."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise CannotStart(f"{address!r} is not host:port")
    try:
        inside = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise CannotStart(
            f"{address} is not a loopback address; the embedded ClickHouse has neither users nor "
            "TLS, so it serves this machine only: use 127.0.0.1, or a real ClickHouse server"
        )
    return host, int(port)


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{host}:{port}"


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m embedded.store",
        description="ClickHouse in one process: the chDB engine behind the native TCP protocol, "
        "for clickhouse-driver on this machine. SIGTERM stops it in good order.",
        epilog=f"Exit codes: 0 stopped, {CANNOT_START} could not start (the reason is logged).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--data-dir", type=Path, required=True, help="where tables are kept; made if need be"
    )
    parser.add_argument(
        "--listen", default="127.0.0.1:19000", help="host:port, loopback only; port 0: a free one"
    )
    parser.add_argument(
        "--health", default="", help="host:port of /healthz, /readyz and /metrics; empty: none"
    )
    parser.add_argument("--memory-bytes", type=int, default=MEMORY, help="memory cap of the engine")
    parser.add_argument("--log-level", default="INFO", help="DEBUG, INFO, WARNING or ERROR")
    return parser


def main(argv: list[str] | None = None) -> int:
    given = arguments().parse_args(argv)
    configure_logging("store", given.log_level)
    return run(given.data_dir, given.listen, given.health, given.memory_bytes)
