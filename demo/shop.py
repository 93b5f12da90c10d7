"""The shop's services, all in one process, each on its own port behind its own sidecar.

`python -m demo.shop ADDRESSES`, the file that `demo.plan` writes.
"""

import asyncio
import random
import signal
import sys
from pathlib import Path

from demo.http import Client, Message, answer, carried, serve
from demo.plan import Addresses, read_addresses
from demo.topology import SERVICES, Call, Service


class Running:
    """One service at work. What it calls, it calls through its own sidecar."""

    def __init__(self, service: Service, addresses: Addresses, seed: int) -> None:
        self.service = service
        self.clients = {name: Client(name, port) for name, port in addresses.calls.items()}
        self.chance = random.Random(seed)  # noqa: S311 (latencies and failures, not secrets)

    async def handle(self, request: Message) -> Message:
        calls = self.service.routes.get(request.path.partition("?")[0].split("/")[1])
        if calls is None:
            return answer(404)
        await asyncio.sleep(self.work_s())
        if self.chance.random() < self.service.failing:
            return answer(503, b'{"error": "out of order"}')
        headers = carried(request)
        fine = await asyncio.gather(*(self.call(call, headers) for call in calls))
        return answer(200) if all(fine) else answer(502, b'{"error": "a service it needs failed"}')

    async def call(self, call: Call, headers: dict[str, str]) -> bool:
        status = await self.clients[call.service].call(call.method, call.path, headers)
        return not call.needed or 0 < status < 400

    def work_s(self) -> float:
        return self.service.median_ms / 1000 * self.chance.lognormvariate(0, self.service.spread)


async def run(addresses: dict[str, Addresses]) -> None:
    """Serves until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    servers = []
    for seed, service in enumerate(SERVICES):
        mine = addresses[service.name]
        servers.append(await serve(mine.listen, Running(service, mine, seed).handle))
    await stop.wait()
    for server in servers:
        server.close()


if __name__ == "__main__":
    asyncio.run(run(read_addresses(Path(sys.argv[1]))))
