"""The outbox against a model of it, under any order of what can happen to it."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from collector.model import Account, Signal
from collector.outbox import Outbox
from tests.pipeline.reports import append, lease, report

BODIES = st.integers(0, 40).map(lambda number: b"%d" % number * (1 + 37 * (number % 5)))

SENDER = "a-1.default"
START_S = 1_800_000_000.0


class OutboxMachine(RuleBasedStateMachine):
    groups = Bundle("groups")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.now_s = START_S
        self.waiting: list[bytes] = []
        self.frozen: dict[int, list[bytes]] = {}  # pending groups
        self.done: dict[int, list[bytes]] = {}
        self.done_at: dict[int, float] = {}
        self.last_group = 0
        self.seen: set[bytes] = set()
        self.leased: dict[int, float] = {}
        self.stored = 0

    @initialize()
    def open(self) -> None:
        self.outbox = Outbox(
            self.directory, 64 * 1024**2, ballast_bytes=65536, clock=lambda: self.now_s
        )

    @rule(bodies=st.lists(BODIES, max_size=4))
    def append(self, bodies: list[bytes]) -> None:
        new = [body for body in dict.fromkeys(bodies) if body not in self.seen]
        received_ns = int(self.now_s * 1e9)
        sent = [report(body, received_ns=received_ns) for body in bodies]
        assert append(self.outbox, *sent) == len(new)
        self.seen.update(new)
        self.waiting += new

    @rule(target=groups, max_bytes=st.integers(1, 400))
    def freeze(self, max_bytes: int) -> int:
        group = self.outbox.freeze_group(max_bytes)
        assert (group == 0) == (not self.waiting)
        if not group:
            return 0
        taken = 1
        while taken < len(self.waiting) and sum(map(len, self.waiting[: taken + 1])) <= max_bytes:
            taken += 1
        assert group > self.last_group
        self.last_group = group
        self.frozen[group], self.waiting = self.waiting[:taken], self.waiting[taken:]
        return group

    @rule(window=st.integers(1, 4))
    def lease(self, window: int) -> None:
        out = {group for group, until in self.leased.items() if until > self.now_s}
        free = [group for group in sorted(self.frozen) if group not in out]
        expected = free[: max(0, window - len(out))]
        assert lease(self.outbox, window) == expected
        self.leased |= dict.fromkeys(expected, self.now_s + 10)

    @rule(group=groups)
    def finish(self, group: int) -> None:
        bodies = self.frozen.get(group, [])
        account = Account(Signal.DECISIONS, SENDER, len(bodies), 0, {})
        assert self.outbox.mark_done(group, [account]) == (group in self.frozen)
        self.stored += len(bodies)
        if group in self.frozen:
            self.done[group] = self.frozen.pop(group)
            self.done_at[group] = self.now_s
            self.leased.pop(group, None)

    @rule(group=groups)
    def read(self, group: int) -> None:
        found = [found.body for found in self.outbox.read_group(group)]
        expected = self.frozen.get(group) or self.done.get(group)
        assert found == (expected or [])

    @precondition(lambda self: self.now_s < START_S + 3300)  # a digest is known for an hour
    @rule(seconds=st.sampled_from([1, 11, 300]))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    @rule()
    def purge(self) -> None:
        """Done long enough ago: gone, but known again when it is sent again."""
        self.outbox.purge()
        self.done = {
            group: bodies
            for group, bodies in self.done.items()
            if self.done_at[group] > self.now_s - 900
        }

    @rule()
    def restart(self) -> None:
        self.outbox.close()
        self.leased.clear()
        self.open()

    @invariant()
    def what_is_told_is_true(self) -> None:
        stats = self.outbox.stats()
        pending = [*self.waiting, *(body for bodies in self.frozen.values() for body in bodies)]
        assert stats.pending_requests == len(pending)
        assert stats.pending_bytes == sum(map(len, pending))
        assert stats.pending_groups == len(self.frozen)
        assert stats.unfrozen_requests == len(self.waiting)
        assert stats.quarantined_groups == 0
        assert (stats.oldest_s > 0) <= bool(pending)

    @invariant()
    def the_books_add_up(self) -> None:
        for entry in self.outbox.books():
            assert (entry.signal, entry.client, entry.difference) == ("decisions", SENDER, 0)
            assert (entry.accepted, entry.stored) == (len(self.seen), self.stored)
            assert entry.pending == self.outbox.stats().pending_requests

    def teardown(self) -> None:
        self.outbox.close()
        shutil.rmtree(self.directory)


OutboxMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestOutbox = OutboxMachine.TestCase
