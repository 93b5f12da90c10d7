"""Keeps lists fresh: each source is asked at its own pace, and what it gives replaces the former
entries in one step. Whatever goes wrong, the entries in force stay in force."""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from collector.lists.fetch import Fetcher
from collector.lists.kept import KeptList, ListStatus
from collector.lists.last_good import LastGood, LastGoodLists
from collector.lists.places import Places
from collector.lists.source import Fetched, SourceFailed
from policy.lists import EntryList, HeldLists, NamedList

log = logging.getLogger(__name__)

DIRECTORY = "lists"
FIRST_S = 1.0  # how long new rules wait for lists that have no entries yet
AGAIN_S = 1.0  # after a failure, doubled after each more, up to the list's own pace
JITTER = 0.1  # of a pause, so that collectors do not ask all at once


class Prepared(NamedTuple):
    """A set of lists made ready in a thread, to be adopted on the loop."""

    lists: Sequence[NamedList]
    own: Mapping[str, EntryList]  # of those that changed
    saved: Mapping[str, LastGood]  # of those that are new to this process


class ListKeeper:
    """Used on one event loop; reading, compiling and writing happen in threads.

    `lists` is what compiled rules read.
    """

    def __init__(self, data_dir: Path, places: Places | None = None) -> None:
        self.lists = HeldLists()
        self._places = places or Places()
        self._fetcher = Fetcher(self._places)
        self._disk = LastGoodLists(data_dir / DIRECTORY)
        self._kept: dict[str, KeptList] = {}
        self._at_work: dict[str, asyncio.Task[None]] = {}

    @property
    def known(self) -> dict[str, NamedList]:
        """Their definitions in force, by name."""
        return {name: kept.named for name, kept in self._kept.items()}

    def check(self, named: NamedList) -> None:
        """Raises InvalidRule for a source that this collector would never ask."""
        self._places.check(named)

    def status(self, name: str) -> ListStatus | None:
        """None for a list that is not in force here."""
        kept = self._kept.get(name)
        return kept.status() if kept else None

    def entries(self, name: str) -> EntryList | None:
        """Those in force; None for a list that was never fetched or is not in force here."""
        kept = self._kept.get(name)
        return kept.held.entries if kept else None

    def statuses(self) -> dict[str, ListStatus]:
        return {name: kept.status() for name, kept in [*self._kept.items()]}

    def prepare(self, lists: Sequence[NamedList]) -> Prepared:
        """For a thread. Raises InvalidRule."""
        known = self.known
        own = {
            named.name: named.compile(named.entries)
            for named in lists
            if named.entries is not None and known.get(named.name) != named
        }
        new = [named.name for named in lists if named.source and named.name not in known]
        found = {name: self._disk.read(name) for name in new}
        return Prepared(lists, own, {name: good for name, good in found.items() if good})

    async def adopt(self, prepared: Prepared) -> None:
        """Puts these lists in force. Waits a moment for sources that have no entries yet; never
        raises for them."""
        first = [self._adopt(named, prepared) for named in prepared.lists]
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_S):
                for answered in first:
                    if answered:
                        await answered.wait()

    async def drop_others(self, prepared: Prepared) -> None:
        """When no rule in force asks them any more."""
        for name in self._kept.keys() - {named.name for named in prepared.lists}:
            self._rest(name)
            self._kept.pop(name).held.entries = None
        await asyncio.to_thread(self._disk.keep_only, prepared.lists)

    def _adopt(self, named: NamedList, prepared: Prepared) -> asyncio.Event | None:
        """The event of its first answer when it has no entries yet."""
        name = named.name
        kept = self._kept.get(name)
        if kept and kept.named == named:
            return None
        self._rest(name)
        if kept is None:
            kept = self._kept[name] = KeptList(named, self.lists.of(name))
        else:
            kept.define(named)
        if name in prepared.own:
            kept.own(prepared.own[name])
            return None
        if name in prepared.saved:
            kept.restore(prepared.saved[name])
        answered = asyncio.Event()
        self._at_work[name] = asyncio.create_task(self._work(kept, answered))
        return answered if kept.held.entries is None else None

    def _rest(self, name: str) -> None:
        at_work = self._at_work.pop(name, None)
        if at_work:
            at_work.cancel()

    async def close(self) -> None:
        for at_work in self._at_work.values():
            at_work.cancel()
        await asyncio.gather(*self._at_work.values(), return_exceptions=True)
        await self._fetcher.close()

    async def _work(self, kept: KeptList, answered: asyncio.Event) -> None:
        while True:
            await self.refresh(kept)
            answered.set()
            await asyncio.sleep(pause_s(kept))

    async def refresh(self, kept: KeptList) -> None:
        """Asks the source once. Never raises for it: see `error`."""
        try:
            fetched = await self._fetch(kept)
            ready = await asyncio.to_thread(kept.prepare, fetched) if fetched else None
        except SourceFailed as error:
            if not kept.error:
                log.warning("a list cannot be refreshed",
                            extra={"list": kept.named.name, "why": str(error)})  # fmt: skip
            kept.failed(error)
            return
        except Exception:
            log.exception("a list was not refreshed", extra={"list": kept.named.name})
            kept.failed(SourceFailed("a fault of meshmeter's own, see its log"))
            return
        if kept.error:
            log.info("a list is refreshed again", extra={"list": kept.named.name})
        kept.succeeded(fetched, ready)
        name, source = kept.named.name, kept.named.source
        if ready:
            await asyncio.to_thread(self._disk.write, name, ready.entries, source, kept.tag)
        else:
            await asyncio.to_thread(self._disk.confirm, name)

    async def _fetch(self, kept: KeptList) -> Fetched | None:
        if kept.named.url is not None:
            return await self._fetcher.fetch(kept.named.url, kept.tag)
        return await asyncio.to_thread(self._places.read, kept.named.file or "", kept.tag)


def pause_s(kept: KeptList) -> float:
    pace = kept.named.refresh
    if kept.failed_in_a_row:
        pace = min(pace, AGAIN_S * 2 ** min(kept.failed_in_a_row - 1, 20))
    return pace * random.uniform(1 - JITTER, 1)  # noqa: S311  # no secret
