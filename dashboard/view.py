"""What is looked at: the whole state of a page, read from its URL and written into it."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

SECOND_NS = 1_000_000_000
WINDOWS_S = {"5m": 300, "15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400}
WINDOW_NAMES = {"5m": "5 m", "15m": "15 m", "1h": "1 h", "6h": "6 h", "24h": "24 h"}
REFRESH_S = {"off": 0, "10s": 10, "30s": 30, "1m": 60}
REFRESH_NAMES = {"off": "Off", "10s": "10 s", "30s": "30 s", "1m": "1 m"}


@dataclass(frozen=True)
class View:
    """`source` and `destination` choose an edge, `service` a service; `start`/`end`, both set,
    are a window of one's own, as ISO 8601 or seconds since 1970."""

    window: str = "15m"
    refresh: str = "10s"
    source: str = ""
    destination: str = ""
    service: str = ""
    start: str = ""
    end: str = ""
    all: str = ""

    @classmethod
    def of(cls, search: str | None) -> Self:
        """Reads "?window=1h&...". What it does not know it leaves out."""
        given = dict(parse_qsl((search or "").lstrip("?")))
        view = cls(**{name: given[name] for name in cls.__dataclass_fields__ if name in given})
        if view.window not in WINDOWS_S:
            view = replace(view, window=cls.window)
        if view.refresh not in REFRESH_S:
            view = replace(view, refresh=cls.refresh)
        if view.own_window_s() is None:
            view = replace(view, start="", end="")
        return view

    def search(self, **changes: str) -> str:
        """The query of a link that changes some of the view and keeps the rest."""
        changed: dict[str, Any] = asdict(replace(self, **changes))
        defaults = asdict(type(self)())
        given = {name: value for name, value in changed.items() if value != defaults[name]}
        return "?" + urlencode(given) if given else ""

    def unchosen(self) -> str:
        """The query of a link that chooses nothing."""
        return self.search(source="", destination="", service="")

    def own_window_s(self) -> tuple[float, float] | None:
        start_s, end_s = seconds(self.start), seconds(self.end)
        if start_s is None or end_s is None or not 0 < start_s < end_s:
            return None
        return start_s, end_s

    def bounds(self, now_ns: int) -> tuple[int, int]:
        """The window, in nanoseconds since 1970."""
        own = self.own_window_s()
        if own:
            return round(own[0] * SECOND_NS), round(own[1] * SECOND_NS)
        return now_ns - WINDOWS_S[self.window] * SECOND_NS, now_ns

    def described(self) -> str:
        """ "the last 15 m", or the two ends."""
        own = self.own_window_s()
        if own:
            first, last = (datetime.fromtimestamp(end, UTC) for end in own)
            return f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"
        return f"the last {WINDOW_NAMES[self.window]}"


def seconds(text: str) -> float | None:
    """None for what is no time, or not one of the years 1970 to 2200."""
    try:
        found = float(text)
    except ValueError:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            return None
        found = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return found if 0 <= found < 7_258_118_400 else None
