"""Clients that ask checks meanwhile, one after the other, each until it is answered."""

import itertools
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from chaos.faults import Disturbed
from chaos.rounds import Answer, Round

ANSWER_S = 5.0
EVERY_S = 0.03
MOST_HITS = 3
LONGEST_PAUSE_S = 0.5
AGAIN = 0.3  # of what was granted is asked once more under its id
BASE = {"kind": "quota", "window": 86_400, "algorithm": "rolling-window"}


class Asked(NamedTuple):
    """A quota, and how it is asked."""

    rule: str
    limit: int
    leased: bool
    on_backend_error: str

    @property
    def document(self) -> dict[str, Any]:
        return BASE | {
            "name": self.rule,
            "match": f'destination.service == "{self.rule}"',
            "dimensions": ["source.user"],
            "limit": self.limit,
            "leased": self.leased,
            "on_backend_error": self.on_backend_error,
        }


QUOTAS = (
    Asked("chaos-exact", 60, leased=False, on_backend_error="local"),
    Asked("chaos-leased", 400, leased=True, on_backend_error="closed"),
)


@dataclass
class Askers:
    """`start`, then `stop`."""

    url: str  # of the collector
    disturbed: Callable[[], Disturbed]
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    given_up: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def prepare(self) -> None:
        """Makes the rules. Raises httpx.HTTPError."""
        for quota in QUOTAS:
            made = httpx.post(f"{self.url}/api/v1/rules", json=quota.document, timeout=ANSWER_S)
            made.raise_for_status()

    def ready(self) -> bool:
        """Whether the rules are in force. Raises httpx.HTTPError."""
        with self._client() as client:
            return all(self._decided(client, self._body(quota, "", 0, ""))["rule"]
                       for quota in QUOTAS)  # fmt: skip

    def start(self) -> None:
        self._threads = [
            threading.Thread(target=self._ask_all, args=(quota,), name=quota.rule, daemon=True)
            for quota in QUOTAS
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, within_s: float) -> None:
        self.stopped.set()
        deadline = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
            if thread.is_alive():
                self.wrong.append(f"a check of {thread.name} has no answer after {within_s:.0f} s")
        self.given_up.set()

    def _client(self) -> httpx.Client:
        return httpx.Client(timeout=ANSWER_S)

    def _ask_all(self, quota: Asked) -> None:
        dice = random.Random(quota.rule)  # noqa: S311  # a load, no secret
        with self._client() as client:
            for number in itertools.count():
                self._round(client, quota, f"{number}-{uuid.uuid4().hex}", dice)
                if self.stopped.is_set():
                    return

    def _round(self, client: httpx.Client, quota: Asked, user: str, dice: random.Random) -> None:
        """Asks of one counter for half as much again as there is."""
        kept = Round(quota.limit, held=quota.limit // 100 if quota.leased else 0)
        began, asked = self.disturbed(), 0
        while asked < quota.limit * 3 // 2 and not self.stopped.wait(EVERY_S):
            hits = dice.randint(1, MOST_HITS)
            asked += hits
            body = self._body(quota, user, hits, "" if quota.leased else uuid.uuid4().hex)
            before = self.disturbed()
            first = self._answer(client, kept, body)
            self._judge(quota, kept, began, body, first)
            if quota.leased or not (first and first.allowed) or dice.random() > AGAIN:
                continue
            self.counts["asked again"] += 1
            second = self._answer(client, kept, body)
            now = self.disturbed()
            forgot = now.losses - before.losses if first.by_counters else now.deaths - before.deaths
            if second and not forgot and second.by_counters == first.by_counters:
                self._note(quota, kept.again(first, second))
            else:
                self._judge(quota, kept, began, body, second)

    def _judge(
        self,
        quota: Asked,
        kept: Round,
        began: Disturbed,
        body: dict[str, Any],
        answer: Answer | None,
    ) -> None:
        now = self.disturbed()
        kept.losses, kept.deaths = now.losses - began.losses, now.deaths - began.deaths
        if answer:
            self._note(quota, kept.answered(body["hits"], answer))

    def _answer(self, client: httpx.Client, kept: Round, body: dict[str, Any]) -> Answer | None:
        """Asked again until there is one: without an id, each time may count."""
        attempt = 0
        while not self.given_up.is_set():
            attempt += 1
            before = self.disturbed()
            try:
                found = self._decided(client, body)
            except httpx.HTTPError as error:
                if before.up is not None and before.up == self.disturbed().up:
                    self._note(None, f"a check is not answered: {type(error).__name__} {error}")
                self.counts["unanswered"] += 1
                if not body["dedup_id"]:
                    kept.unanswered(body["hits"])
                self.given_up.wait(min(LONGEST_PAUSE_S, 0.02 * 2**attempt))
                continue
            by = found["decided_by"]
            self.counts[f"{'granted' if found['allowed'] else 'denied'} by {by}"] += 1
            return Answer(found["allowed"], max(found["granted"], 0), by != "fallback")
        return None

    def _decided(self, client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
        answer = client.post(f"{self.url}/api/v1/check", json=body)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def _body(self, quota: Asked, user: str, hits: int, dedup_id: str) -> dict[str, Any]:
        attributes = {"destination.service": quota.rule, "source.user": user}
        return {"attributes": attributes, "hits": hits, "dedup_id": dedup_id}

    def _note(self, quota: Asked | None, wrong: str) -> None:
        if wrong:
            self.wrong.append(f"{quota.rule}: {wrong}" if quota else wrong)
