"""A real HTTP server whose answers a test chooses, and what it was asked."""

import gzip
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from collector.lists import Places

HERE = Places.named("127.0.0.0/8, ::1/128", "")

Answer = Callable[[BaseHTTPRequestHandler], None]


class Source:
    """`answer` is asked for each request; `asked` has the headers of each, in lower case."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[dict[str, str]] = []
        self.answer: Answer = text("ann\nbob\n")
        self.hanging = threading.Event()  # set: what hangs ends

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/list"


def text(body: str, status: int = 200, **headers: str) -> Answer:
    return raw(body.encode(), status, **{"content-type": "text/plain", **headers})


def raw(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def gzipped(body: bytes) -> Answer:
    packed = gzip.compress(body)
    return raw(packed, content_encoding="gzip", content_type="text/plain")


def tagged(body: str, etag: str) -> Answer:
    """304 for who has it."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("if-none-match") == etag:
            request.send_response(304)
            request.end_headers()
        else:
            text(body, etag=etag)(request)

    return answer


def endless(request: BaseHTTPRequestHandler) -> None:
    """Until the other end has had enough."""
    request.send_response(200)
    request.send_header("content-type", "text/plain")
    request.end_headers()
    try:
        while True:
            request.wfile.write(b"a-line-of-a-list\n" * 10_000)
    except OSError:
        request.close_connection = True


@contextmanager
def source(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Source]:
    served: Source

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append({name.lower(): value for name, value in self.headers.items()})
            served.answer(self)

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """The other end went away."""

    server = Server((host, 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    served = Source(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        served.hanging.set()
        server.shutdown()
        server.server_close()
        thread.join()
