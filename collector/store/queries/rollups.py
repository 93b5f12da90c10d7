"""Which rollup answers a window, and the steps of a time axis over it."""

import time
from typing import NamedTuple

SECOND_NS = 1_000_000_000
HOUR_S = 3_600
DAY_S = 24 * HOUR_S
SLACK_S = HOUR_S  # a rollup is left before its rows expire

# Widths of a time axis' steps, in seconds: each divides into the grain of the rollup it is read of.
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)


class Rollup(NamedTuple):
    """`longest_s`: the longest window it answers quickly. `kept_s`: how old its rows become."""

    grain: str  # what its tables' names end with
    grain_s: int
    longest_s: int
    kept_s: int

    @property
    def edges(self) -> str:
        """The table of who called whom."""
        return f"edges_{self.grain}"

    @property
    def operations(self) -> str:
        """The table of what each operation did."""
        return f"operations_{self.grain}"


ROLLUPS = (
    Rollup("1s", 1, longest_s=HOUR_S // 2, kept_s=DAY_S),
    Rollup("1m", 60, longest_s=2 * DAY_S, kept_s=30 * DAY_S),
    Rollup("1h", HOUR_S, longest_s=400 * DAY_S, kept_s=400 * DAY_S),
)


class Window(NamedTuple):
    """A window widened to whole rows of the rollup that answers it."""

    rollup: Rollup
    start_s: int
    end_s: int
    step_s: int

    @property
    def params(self) -> dict[str, int | str]:
        return {"start_s": self.start_s, "end_s": self.end_s, "step_s": self.step_s}

    @property
    def steps(self) -> range:
        """When each step of the time axis begins, in seconds."""
        return range(self.start_s // self.step_s * self.step_s, self.end_s, self.step_s)


def window(start_ns: int, end_ns: int, points: int = 100, now_ns: int | None = None) -> Window:
    """The finest rollup that is quick enough and still there, and at most `points` steps."""
    now_s = (time.time_ns() if now_ns is None else now_ns) // SECOND_NS
    first_s, end_s = start_ns // SECOND_NS, -(-end_ns // SECOND_NS)
    length_s, age_s = end_s - first_s, now_s - first_s
    rollup = next(
        (
            rollup
            for rollup in ROLLUPS
            if length_s <= rollup.longest_s and age_s <= rollup.kept_s - SLACK_S
        ),
        ROLLUPS[-1],
    )
    wide_enough = (step for step in STEPS_S if step >= rollup.grain_s and length_s <= step * points)
    step_s = next(wide_enough, STEPS_S[-1])
    return Window(rollup, first_s // rollup.grain_s * rollup.grain_s, end_s, step_s)
