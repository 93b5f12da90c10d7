"""The shop's customers: a bounded stream of requests from each caller, until SIGTERM.

`python -m demo.traffic ADDRESSES RATE`, in requests a second of all callers together. Requests
begin at random moments whether or not earlier ones were answered, up to `MOST_AT_ONCE`; on
SIGTERM those under way are waited for. Prints how many ended with which status, as JSON.
"""

import asyncio
import json
import random
import signal
import sys
from collections import Counter
from pathlib import Path

from demo.http import Client
from demo.plan import Addresses, read_addresses
from demo.topology import CALLERS, Caller

MOST_AT_ONCE = 64


class Stream:
    def __init__(self, caller: Caller, addresses: Addresses, rate: float, seed: int) -> None:
        self.caller = caller
        self.rate = rate * caller.share
        self.clients = {name: Client(name, port) for name, port in addresses.calls.items()}
        self.chance = random.Random(seed)  # noqa: S311 (moments and choices, not secrets)
        self.under_way: set[asyncio.Task[None]] = set()
        self.statuses: Counter[str] = Counter()

    async def run(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while not stop.is_set():
            next_s += self.chance.expovariate(self.rate)
            try:
                async with asyncio.timeout_at(next_s):
                    await stop.wait()
            except TimeoutError:
                self.begin()
        await asyncio.gather(*self.under_way)
        for client in self.clients.values():
            client.close()

    def begin(self) -> None:
        if len(self.under_way) >= MOST_AT_ONCE:
            self.statuses["not sent"] += 1
            return
        task = asyncio.ensure_future(self.ask())
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def ask(self) -> None:
        calls, weights = list(self.caller.asks), list(self.caller.asks.values())
        (call,) = self.chance.choices(calls, weights)
        status = await self.clients[call.service].call(call.method, call.path, {})
        self.statuses[str(status)] += 1


async def run(addresses: dict[str, Addresses], rate: float) -> dict[str, dict[str, int]]:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    streams = [
        Stream(caller, addresses[caller.name], rate, seed) for seed, caller in enumerate(CALLERS)
    ]
    await asyncio.gather(*(stream.run(stop) for stream in streams))
    return {stream.caller.name: dict(stream.statuses) for stream in streams}


if __name__ == "__main__":
    answered = asyncio.run(run(read_addresses(Path(sys.argv[1])), float(sys.argv[2])))
    sys.stdout.write(json.dumps(answered) + "\n")
