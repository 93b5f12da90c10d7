"""Celery as meshmeter uses it: messages that say "look at group 7", never what is in it.

The broker may forget everything: the outbox sends again what was not stored. So nothing here waits
for a broker that hangs, retries a publication, or asks the broker to redeliver.
Every setting stands for a measured failure: see docs/pipeline.md.
"""

import hmac
import json
import logging
from typing import Any

from celery import Celery, signals
from kombu.entity import Exchange, Queue

from collector.errors import InvalidSetting, Unready

log = logging.getLogger(__name__)

INGEST = "meshmeter.ingest"  # (collector_url, collector_id, group, signature)
HEARTBEAT = "meshmeter.heartbeat"  # ()
HEARTBEAT_EVERY_S = 5.0
SETTLE = "meshmeter.settle"  # ()
SETTLE_EVERY_S = 10.0
QUEUE = "meshmeter"
DEAD_QUEUE = "meshmeter.dead"

REDIS_OPTIONS: dict[str, Any] = {
    "socket_timeout": 1.5,
    "socket_connect_timeout": 1,
    "visibility_timeout": 60,
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
}
AMQP_OPTIONS: dict[str, Any] = {
    "confirm_publish": True,
    "read_timeout": 2,
    "write_timeout": 2,
    "connect_timeout": 2,
    "confirm_timeout": 2,
}
# RabbitMQ then survives a kill with what it confirmed, and gives up on what kills workers.
QUORUM: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 5,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD_QUEUE,
}


class BrokerDown(Unready):
    """The broker did not take a message; it may still have it."""


def celery_app(broker_url: str) -> Celery:
    """Nothing connects yet. Raises InvalidSetting for a broker that is neither of the two."""
    scheme = broker_url.partition("://")[0]
    if scheme not in ("redis", "rediss", "amqp", "amqps"):
        raise InvalidSetting(f"a broker is reached by redis:// or amqp://, not {scheme[:20]!r}")
    app = Celery("meshmeter", broker=broker_url, set_as_current=False)
    amqp = scheme.startswith("amqp")
    app.conf.update(
        broker_transport_options=AMQP_OPTIONS if amqp else REDIS_OPTIONS,
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=2,
        task_queues=[queue(QUORUM if amqp else None)],
        task_default_queue=QUEUE,
        task_default_exchange=QUEUE,
        task_default_routing_key=QUEUE,
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_ignore_result=True,
        task_publish_retry=False,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        beat_schedule={
            "heartbeat": {"task": HEARTBEAT, "schedule": HEARTBEAT_EVERY_S},
            "settle": {
                "task": SETTLE,
                "schedule": SETTLE_EVERY_S,
                "options": {"expires": SETTLE_EVERY_S},
            },
        },
    )
    signals.setup_logging.connect(keep_logging)
    return app


def keep_logging(**_kwargs: object) -> None:
    """Connected, it keeps Celery from setting up logging of its own; and a good task is no news."""
    for name in ("celery.worker.strategy", "celery.app.trace", "celery.beat", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)


def queue(arguments: dict[str, Any] | None) -> Queue:
    exchange = Exchange(QUEUE)  # type: ignore[no-untyped-call]
    return Queue(QUEUE, exchange, QUEUE, queue_arguments=arguments)  # type: ignore[no-untyped-call]


def declare_dead_queue(app: Celery) -> None:
    """Where RabbitMQ puts a message that it gives up; the newest 10,000 are kept. Of a broker that
    does not answer, the next worker to start asks it."""
    try:
        with app.connection_for_write() as connection:
            if connection.transport.driver_type == "amqp":
                connection.default_channel.queue_declare(
                    DEAD_QUEUE, durable=True, auto_delete=False, arguments={"x-max-length": 10_000}
                )
    except Exception as error:  # noqa: BLE001 (any client error: it is not there)
        log.warning("The queue of dead messages is not there", extra={"error": str(error)})


def signature(token: str, collector_url: str, collector_id: str, group: int) -> str:
    """Who knows the internal token made this message; "" without a token.

    Otherwise whoever can write to the broker could have workers send the token anywhere.
    """
    if not token:
        return ""
    text = json.dumps([collector_url, collector_id, group])
    return hmac.new(token.encode(), text.encode(), "sha256").hexdigest()


def send_ingest(app: Celery, token: str, collector_url: str, collector_id: str, group: int) -> None:
    """Takes 1.5 s at most, from a thread that may wait so long. Raises BrokerDown."""
    signed = signature(token, collector_url, collector_id, group)
    try:
        app.send_task(INGEST, (collector_url, collector_id, group, signed), retry=False)
    except Exception as error:
        # Besides its own errors kombu lets those of sockets and of the client library through.
        raise BrokerDown(f"{type(error).__name__}: {error}") from error


def messages_waiting(app: Celery) -> int:
    """Messages no worker has taken. Raises BrokerDown."""
    try:
        with app.connection_for_read() as connection:
            answer = connection.default_channel.queue_declare(QUEUE, passive=True)
            return int(answer.message_count)
    except Exception as error:
        raise BrokerDown(f"{type(error).__name__}: {error}") from error


def refuse_evicting_broker(app: Celery) -> None:
    """Raises InvalidSetting for a Redis that drops queued messages when its memory is full.

    Of 400 messages such a server accepted in a test, 29 were left. One that does not answer is
    waited for by Celery.
    """
    try:
        with app.connection_for_read() as connection:
            if connection.transport.driver_type != "redis":
                return
            policy = connection.default_channel.client.config_get("maxmemory-policy")
    except Exception as error:  # noqa: BLE001 (any client error: it cannot be asked)
        log.warning("The broker cannot be asked for its memory policy", extra={"error": str(error)})
        return
    found = policy.get("maxmemory-policy", "noeviction")
    if found != "noeviction":
        raise InvalidSetting(
            f"the broker's maxmemory-policy is {found}: it would drop messages silently; "
            "set it to noeviction"
        )
