"""A process that appends to an outbox and says on standard output what was acknowledged."""

import asyncio
import itertools
import os
import sys
import time
from pathlib import Path

from collector.model import Report, Signal
from collector.outbox import Outbox

CLIENTS = 8
BODY_BYTES = 2000
MIB = 1024 * 1024


async def client(outbox: Outbox, number: int) -> None:
    for count in itertools.count():
        name = b"%d-%d" % (number, count)
        body = name + b" " + os.urandom(BODY_BYTES)
        await outbox.append([Report(Signal.ALS, body, time.time_ns(), "powercut")])
        os.write(1, name + b"\n")


async def main(directory: Path) -> None:
    outbox = Outbox(directory, 64 * MIB, ballast_bytes=MIB)
    await asyncio.gather(*(client(outbox, number) for number in range(CLIENTS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
