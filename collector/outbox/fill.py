"""How full the outbox is, who may still add to it, and when it will be full.

From `SOFT` on those are refused who send again what was refused, so that what is left is for
those who do not. From `HARD` on nobody adds: the rest is for what is written to empty it.
"""

import math
from collections import deque

SOFT, HARD = 0.7, 0.9  # of the largest size
KEPT = 0.5  # above this nothing is kept that is stored
OVER_S = 60.0  # the rate is that of the last minute
EVERY_S = 1.0


class Trend:
    """How fast what cannot be dropped grows."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()  # s, bytes

    def note(self, now_s: float, held_bytes: int) -> None:
        if not self._seen or now_s - self._seen[-1][0] >= EVERY_S:
            self._seen.append((now_s, held_bytes))
        while now_s - self._seen[0][0] > OVER_S:
            self._seen.popleft()

    def time_to_full_s(self, room_bytes: int) -> float:
        """At the present rate; infinite while it does not grow."""
        (start_s, before), (end_s, held) = self._seen[0], self._seen[-1]
        if held <= before:
            return math.inf
        return max(0, room_bytes) * (end_s - start_s) / (held - before)
