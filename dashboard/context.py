"""What every page is given, and the ids that every page listens to."""

from collections.abc import Callable
from dataclasses import dataclass

from dash import html

from collector.settings import Settings
from collector.store.client import Store

URL = "url"  # its search is the state of every page, see view.py
PULSE = "pulse"  # changes when it is time to ask again
SCHEME = "scheme"  # "light" or "dark", as it is now


@dataclass(frozen=True)
class Context:
    settings: Settings
    store: Store
    now_ns: Callable[[], int]


def notice(error: Exception) -> html.Div:
    """For when the store cannot be asked. The last picture stays."""
    return html.Div(
        [html.B("No fresh figures. "), f"What is shown was true before. {error}"],
        className="notice",
        role="alert",
    )
