"""Keeps every connected sidecar at its share of the quotas that its requests count for.

Reports are gathered and settled together; whoever is to do something else is told at once. No
report waits for the counters, so that their absence delays nobody: what sidecars have, they keep.
"""

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Callable, Hashable
from itertools import count

from prometheus_client import Gauge

from collector.errors import Overloaded, Unready
from collector.own import Own
from collector.services import Assignment, Tell, Usage, Verb
from collector.shares.bucket import IDLE_S, Bucket
from collector.shares.rounds import Rounds
from collector.shares.usage import UsageRecorder
from collector.status.bag_sample import BagSample
from policy.answers import Standing
from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.errors import CountersDown, NoSnapshot
from policy.quota.shares import MemoryShares, Shares

log = logging.getLogger(__name__)

SIDECARS = Gauge("meshmeter_shared_quota_sidecars", "connected sidecars that count by themselves")
BUCKETS = Gauge("meshmeter_shared_quota_buckets", "buckets of these sidecars")
TICK_S = 0.5  # how often to look for changed rules, and for what others lack
MAX_BUCKETS = 100_000  # of all sidecars
AT_ONCE = 64  # buckets that new rules are tried on before others have their turn


class Connection:
    """`services.Member`."""

    def __init__(self, sharing: "QuotaSharing", name: str, owner: str, tell: Tell) -> None:
        self._sharing = sharing
        self.name = name
        self.owner = owner
        self.tell = tell
        self.buckets: dict[Hashable, Bucket] = {}

    def report(self, bucket: Hashable, bag: AttributeBag, usage: Usage) -> None:
        self._sharing.heard(self, bucket, bag, usage)

    def leave(self, *, lost: bool) -> None:
        self._sharing.left(self, lost=lost)


class QuotaSharing:
    """`services.Sharing`, on one event loop."""

    def __init__(
        self,
        engine: Engine,
        shares: Shares,
        usage: UsageRecorder,
        own: Own | None = None,
        sample: BagSample | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        live: Callable[[], int] = lambda: 1,
        max_buckets: int = MAX_BUCKETS,
    ) -> None:
        self._engine = engine
        self._shares = shares
        self._usage = usage
        self._own = own or Own((), ())
        self._bags = sample or BagSample(engine, kept_s=0)  # never refilled
        self._clock = clock
        self._room = max_buckets
        self._rounds = Rounds(shares, MemoryShares(), live)
        self._snapshot = engine.snapshot
        self._id = os.urandom(4).hex()
        self._numbers = count()
        self._connections: dict[str, Connection] = {}
        self._wake = asyncio.Event()
        self._looked_s = 0.0
        self._work: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Sidecars keep their shares: another collector, or the next one, finds them."""
        if self._work:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    def join(self, name: str, tell: Tell) -> Connection:
        if self._engine.snapshot is None:
            raise Unready("no rules were loaded yet")
        if self._work is None:
            self._work = asyncio.get_running_loop().create_task(self._keep())
        # Two at once under one name are two.
        slot = next(slot for slot in count() if f"{name}\n{slot}" not in self._connections)
        owner = f"{self._id}-{next(self._numbers):x}"
        connection = Connection(self, f"{name}\n{slot}", owner, tell)
        self._connections[connection.name] = connection
        SIDECARS.inc()
        return connection

    def left(self, connection: Connection, *, lost: bool) -> None:
        if self._connections.pop(connection.name, None) is None:
            return
        SIDECARS.dec()
        for bucket in list(connection.buckets.values()):
            self._drop(connection, bucket, leaving=lost)

    def heard(
        self, connection: Connection, name: Hashable, bag: AttributeBag, usage: Usage
    ) -> None:
        bucket = connection.buckets.get(name) or self._begin(connection, name, bag)
        self._usage.record(bucket, usage)
        if not self._own(bag.values):
            if self._bags.room:
                self._bags.look(bag.values)
            self._engine.count_alike(bucket.standing, usage.allowed + usage.denied)
        if bucket.reported(usage):
            self._rounds.ask(bucket.parts)
            self._wake.set()
        if bucket.idle_s > IDLE_S:
            bucket.tell_it(Assignment(Verb.FORGET))
            self._drop(connection, bucket, leaving=True)
        elif bucket.told is None:
            bucket.tell_news()
        else:
            bucket.remind()

    def _begin(self, connection: Connection, name: Hashable, bag: AttributeBag) -> Bucket:
        if self._room == 0:
            raise Overloaded("there are as many buckets as are kept")
        words = f"{connection.name}\n{name!r}".encode()
        holder = hashlib.blake2b(words, digest_size=12).hexdigest()
        standing = self._standing(bag)
        bucket = Bucket(name, holder, connection.owner, bag, connection.tell, standing, self._clock)
        connection.buckets[name] = bucket
        self._room -= 1
        BUCKETS.inc()
        self._rounds.enlist(bucket)
        return bucket

    def _drop(self, connection: Connection, bucket: Bucket, *, leaving: bool) -> None:
        del connection.buckets[bucket.name]
        self._room += 1
        BUCKETS.dec()
        self._rounds.delist(bucket, bucket.parts, leaving=leaving)
        self._wake.set()

    def _standing(self, bag: AttributeBag) -> Standing:
        """Raises Unready."""
        try:
            standing = self._engine.standing(bag)
        except NoSnapshot as error:
            raise Unready(str(error)) from error
        return standing._replace(refusal=None, quotas=[]) if self._own(bag.values) else standing

    async def _keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._rounds.wait_s(TICK_S)):
                    await self._wake.wait()
            except TimeoutError:
                pass  # it is time to look
            self._wake.clear()
            try:
                await self._look()
                for bucket in await self._rounds.settle_some():
                    bucket.tell_news()
            except Exception:
                log.exception("Shares of quotas could not be settled")
                await asyncio.sleep(TICK_S)

    async def _look(self) -> None:
        """For changed rules, and for what others lack."""
        if time.monotonic() - self._looked_s < TICK_S:
            return
        self._looked_s = time.monotonic()
        snapshot = self._engine.snapshot
        if snapshot is not self._snapshot:
            await self._stand_anew()
            self._snapshot = snapshot
        if self._connections:
            try:
                self._rounds.ask_all(await self._shares.short())
            except CountersDown:
                log.debug("what others lack is not known: the counters do not answer")

    async def _stand_anew(self) -> None:
        everyone = [
            (connection, bucket)
            for connection in self._connections.values()
            for bucket in connection.buckets.values()
        ]
        for place, (connection, bucket) in enumerate(everyone):
            if place % AT_ONCE == 0:
                await asyncio.sleep(0)
            if connection.buckets.get(bucket.name) is not bucket:
                continue  # it is gone meanwhile
            before = bucket.parts
            bucket.stand(self._standing(bucket.bag))
            self._rounds.delist(bucket, before.keys() - bucket.parts.keys(), leaving=True)
            self._rounds.enlist(bucket)
            self._rounds.ask_all(bucket.parts)
            bucket.tell_news()
