"""The dashboard put together: a Dash app that reads the store, served by waitress."""

import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any

from dash import Dash
from flask import Flask, Response, request
from waitress.server import create_server  # type: ignore[import-untyped]

from collector.errors import CollectorError
from collector.settings import PREFIX, Settings, host_port
from collector.store.client import Store
from dashboard import shell
from dashboard.context import Context
from dashboard.pages import PAGES
from observe import health_answer

log = logging.getLogger(__name__)

THREADS = 8
ASSETS = Path(__file__).with_name("assets")
HEALTH_PATHS = ("/healthz", "/readyz", "/metrics")


def create_app(settings: Settings) -> Dash:
    """Nothing connects before the first question. Raises InvalidSetting."""
    store = Store(settings.clickhouse_read_url)
    context = Context(settings, store, time.time_ns)
    app = Dash(
        "dashboard",
        title="meshmeter",
        update_title="",
        assets_folder=str(ASSETS),
        serve_locally=True,
        add_log_handler=False,
        index_string=shell.INDEX,
    )
    app.layout = shell.layout()
    shell.register(app, context)
    for page in PAGES:
        page.register(app, context)
    serve_health(app.server, store)
    return app


def serve_health(server: Flask, store: Store) -> None:
    def ready() -> str:
        try:
            store.ping()
        except CollectorError as error:
            return str(error)
        return ""

    def answer() -> Response:
        found = health_answer(request.path, {"store": ready})
        status, content_type, body = found or (404, "text/plain", b"")
        return Response(body, status, content_type=content_type)

    for path in HEALTH_PATHS:
        server.add_url_rule(path, path, answer)


def run(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT; the exit code. Raises InvalidSetting."""
    host, port = host_port(settings.dashboard)
    app = create_app(settings)
    try:
        server: Any = create_server(
            app.server, host=host, port=port, threads=THREADS, ident="meshmeter"
        )
    except OSError as error:
        reason = error.strerror or str(error)
        print(
            f"meshmeter dashboard: cannot listen at {settings.dashboard} ({reason}); "
            f"set {PREFIX}DASHBOARD to another address",
            file=sys.stderr,
        )
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    listen = f"{host}:{server.effective_port}"
    log.info("the dashboard is ready", extra={"listen": listen})
    server.run()  # returns when SystemExit or KeyboardInterrupt reaches it
    server.close()
    log.info("the dashboard has stopped")
    return 0
