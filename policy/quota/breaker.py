"""Stops asking a server that does not answer.

Closed: everything is asked. After `fails` failures in a row: open, nothing is asked for `open_s`.
Then one probe at a time is let through; its success closes the breaker.
"""

import time
from collections.abc import Callable


class Breaker:
    def __init__(
        self,
        fails: int = 3,
        open_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed = fails
        self._open_s = open_s
        self._clock = clock
        self._fails = 0
        self._probe_at = 0.0

    @property
    def closed(self) -> bool:
        return self._fails < self._allowed

    def lets_through(self) -> bool:
        """Whether to ask now; while open, True makes the caller the probe."""
        if self.closed:
            return True
        now = self._clock()
        if now < self._probe_at:
            return False
        self._probe_at = now + self._open_s
        return True

    def succeeded(self) -> None:
        self._fails = 0

    def failed(self) -> None:
        self._fails += 1
        if not self.closed:
            self._probe_at = self._clock() + self._open_s
