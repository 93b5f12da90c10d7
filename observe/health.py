"""/healthz, /readyz and /metrics, the same on every process.

`/healthz` is 200 while the process can answer at all. `/readyz` is 200 when every check passes,
else 503 with the reasons as JSON. `/metrics` is OpenMetrics text.
Source: https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import REGISTRY
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

TYPE_JSON = "application/json"

# A check answers "" when all is well, else what is wrong in a few words.
Check = Callable[[], str]


def health_answer(path: str, ready: Mapping[str, Check]) -> tuple[int, str, bytes] | None:
    """Status, content type and body; None when `path` is not one of the three."""
    if path == "/healthz":
        return 200, TYPE_JSON, b'{"status":"ok"}\n'
    if path == "/readyz":
        states = {name: check() for name, check in ready.items()}
        failing = {name: state for name, state in states.items() if state}
        body = {"status": "not ready" if failing else "ready", "failing": failing}
        return (503 if failing else 200), TYPE_JSON, json.dumps(body).encode() + b"\n"
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY)  # type: ignore[no-untyped-call]
    return None


def serve_health(host: str, port: int, ready: Mapping[str, Check]) -> ThreadingHTTPServer:
    """Serves the three paths from a daemon thread. Raises OSError when the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = health_answer(self.path.partition("?")[0], ready)
            status, content_type, body = answer or (404, "text/plain", b"not found\n")
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Health requests are not logged."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
