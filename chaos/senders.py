"""Clients that send spans over OTLP/HTTP, each request again and again until it is answered."""

import random
import threading
import time
from dataclasses import dataclass, field

import httpx

from chaos.ledger import Ledger, request_of

SPANS_A_REQUEST = 50
ANSWER_S = 5.0
LONGEST_PAUSE_S = 1.0
HEADERS = {"content-type": "application/x-protobuf"}


@dataclass
class Senders:
    """`start`, then `stop`: no new request is made, and each that was made is answered."""

    url: str
    ledger: Ledger
    count: int
    spans_per_second: float
    stopped: threading.Event = field(default_factory=threading.Event)
    given_up: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self._threads = [
            threading.Thread(target=self._send_all, name=f"sender-{number}", daemon=True)
            for number in range(self.count)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, within_s: float) -> bool:
        """Whether everything was answered in time."""
        self.stopped.set()
        deadline = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        self.given_up.set()
        return not any(thread.is_alive() for thread in self._threads)

    def send_one(self) -> range:
        """A request of one span, until it is answered or the others were given up."""
        numbers = self.ledger.issue(1)
        with httpx.Client(timeout=ANSWER_S, headers=HEADERS) as client:
            self._send(client, numbers)
        return numbers

    def _send_all(self) -> None:
        every_s = SPANS_A_REQUEST * self.count / self.spans_per_second
        with httpx.Client(timeout=ANSWER_S, headers=HEADERS) as client:
            while not self.stopped.wait(every_s):
                self._send(client, self.ledger.issue(SPANS_A_REQUEST))

    def _send(self, client: httpx.Client, numbers: range) -> None:
        body, sendings, first_s = request_of(numbers), 0, time.monotonic()
        while not self.given_up.is_set():
            sendings += 1
            try:
                if client.post(self.url, content=body).status_code == httpx.codes.OK:
                    self.ledger.acknowledge(numbers, time.monotonic() - first_s, sendings)
                    return
            except httpx.HTTPError:
                pass
            pause_s = min(LONGEST_PAUSE_S, 0.05 * 2**sendings)
            self.given_up.wait(pause_s * random.random())  # noqa: S311  # spreads the retries
