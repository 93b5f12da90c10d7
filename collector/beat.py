"""Beat put together: what a worker is to do though no report comes, sent through the broker.

Every five seconds a heartbeat, which shows the whole way from a sender over the broker to a worker
alive; every ten a word to settle the edges of spans.
"""

import logging
import signal
import time
from collections.abc import Callable, Mapping
from http.server import ThreadingHTTPServer

from celery import signals
from celery.beat import Service

from collector.errors import InvalidSetting
from collector.settings import Settings, host_port
from collector.tasks import HEARTBEAT_EVERY_S, celery_app, refuse_evicting_broker
from observe import Check, serve_health

log = logging.getLogger(__name__)

LATE_S = 3 * HEARTBEAT_EVERY_S
MAX_SLEEP_S = 1  # how long a stop may take


class Sent:
    """When the broker last took a heartbeat."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_s = clock()

    def took(self, **_kwargs: object) -> None:
        self._last_s = self._clock()

    def trouble(self) -> str:
        silent_s = self._clock() - self._last_s
        return f"the broker took no heartbeat for {silent_s:.0f} s" if silent_s > LATE_S else ""


def run_beat(settings: Settings) -> int:
    """Until SIGTERM or SIGINT. Raises InvalidSetting."""
    app = celery_app(settings.broker_url)
    refuse_evicting_broker(app)
    sent = Sent()
    signals.after_task_publish.connect(sent.took)
    schedule = settings.data_dir / "beat" / "schedule"
    try:
        schedule.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSetting(f"cannot keep a schedule in {schedule.parent}: {error}") from error
    health = health_server(settings.beat_http, {"broker": sent.trouble})
    service = Service(app, max_interval=MAX_SLEEP_S, schedule_filename=str(schedule))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    log.info("beat is ready")
    try:
        service.start()
    finally:
        health.shutdown()
        health.server_close()
    return 0


def health_server(address: str, ready: Mapping[str, Check]) -> ThreadingHTTPServer:
    """Raises InvalidSetting when nothing can listen there."""
    host, port = host_port(address)
    try:
        return serve_health(host, port, ready)
    except OSError as error:
        raise InvalidSetting(f"cannot listen at {address}: {error.strerror}") from error
