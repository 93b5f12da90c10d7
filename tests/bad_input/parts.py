"""The doors of a collector, put together from the real parts: `python -m tests.bad_input.parts`.

All front-ends over the engine and the outbox; no dispatcher, so what was accepted stays to be read.
"""

import asyncio
import os
import signal

import uvloop

from collector.frontends import GRPC, HTTP
from collector.outbox import Outbox
from collector.reporter import OutboxReporter
from collector.services import Services
from collector.settings import Settings
from collector.transport.asgi import Door
from collector.transport.server import serve
from tests.collector.checking import EngineOnly
from tests.transport.serving import no_such_page


async def run(settings: Settings) -> None:
    outbox = Outbox(settings.data_dir, settings.outbox_max_bytes)
    services = Services(checker=EngineOnly(), reporter=OutboxReporter(outbox))
    grpc = {k: v for each in GRPC for k, v in each.grpc_methods(services, settings).items()}
    raw = {k: v for each in HTTP for k, v in each.http_routes(services, settings).items()}
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    door = Door(grpc, raw, {"outbox": outbox.trouble}, no_such_page)
    await serve(door, [settings.http, settings.grpc], stop)
    outbox.close()


if __name__ == "__main__":
    uvloop.run(run(Settings.from_environ(os.environ)))
