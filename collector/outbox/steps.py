"""For how long a wall clock has not been stepped: only over that time do its times tell ages."""

import math
from collections.abc import Callable

STEP_S = 5.0  # what is less is a clock that is slewed, or a look that came late


class Steps:
    """`elapsed` is a clock that is never stepped. Looked at now and then, by one thread."""

    def __init__(self, clock: Callable[[], float], elapsed: Callable[[], float]) -> None:
        self._clock = clock
        self._elapsed = elapsed
        self._ahead_s = clock() - elapsed()
        self._last_s = -math.inf

    def since_s(self) -> float:
        """Infinite while none was seen."""
        now_s = self._elapsed()
        ahead_s = self._clock() - now_s
        if abs(ahead_s - self._ahead_s) > STEP_S:
            self._last_s = now_s
        self._ahead_s = ahead_s
        return now_s - self._last_s
