"""Latency: percentiles and their distribution over time, of all calls, a service or an edge."""

import json
from collections import Counter
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, dcc, html, no_update
from dash.exceptions import PreventUpdate

from collector.errors import CollectorError
from collector.store.queries.freshness import newest_ns
from collector.store.queries.latency import Latency, latency
from collector.store.queries.service_graph import service_graph
from collector.store.queries.services import services
from dashboard.context import PULSE, SCHEME, URL, Context, notice
from dashboard.empty import empty
from dashboard.latency_figures import heatmap_figure, percentiles_figure
from dashboard.numbers import count, duration, rate, share
from dashboard.pieces import tiles
from dashboard.theme import health
from dashboard.view import SECOND_NS, View

PATHS = ("/latency",)
NAME = "Latency"
CHOICE, PERCENTILES, HEATMAP = "latency-choice", "latency-percentiles", "latency-heatmap"
TILES, NOTICE, EMPTY, DRAWN = "latency-tiles", "latency-notice", "latency-empty", "latency-drawn"
NOTE = "latency-note"
EVERYTHING = "[]"
SHOWN: dict[str, str] = {}
NOT_SHOWN = {"display": "none"}
CONFIG: Any = {"displayModeBar": False, "responsive": True}


def layout() -> html.Div:
    choice = dmc.Select(
        id=CHOICE,
        label="Calls",
        data=[{"value": EVERYTHING, "label": "all calls"}],
        value=EVERYTHING,
        searchable=True,
        allowDeselect=False,
        nothingFoundMessage="no such service or edge in this window",
        maxDropdownHeight=420,
        w=420,
    )
    pictures = html.Div(
        [
            card("Percentiles and rate", PERCENTILES, "225px"),
            card("How long requests took", HEATMAP, "320px"),
            html.P(id=NOTE, className="quiet"),
        ],
        id=DRAWN,
        style=NOT_SHOWN,
    )
    return html.Div(
        [
            html.Div(id=NOTICE),
            html.Div([choice, html.Div(id=TILES)], className="latency-head"),
            html.Div(id=EMPTY),
            pictures,
        ],
        className="page latency-page",
    )


def card(title: str, name: str, height: str) -> html.Section:
    picture = dcc.Graph(id=name, config=CONFIG, style={"height": height})
    return html.Section([html.H3(title), picture], className="card")


def register(app: Dash, context: Context) -> None:
    @app.callback(
        Output(PERCENTILES, "figure"),
        Output(HEATMAP, "figure"),
        Output(TILES, "children"),
        Output(NOTE, "children"),
        Output(DRAWN, "style"),
        Output(EMPTY, "children"),
        Output(NOTICE, "children"),
        Output(CHOICE, "data"),
        Output(CHOICE, "value"),
        Input(URL, "search"),
        Input(URL, "pathname"),
        Input(PULSE, "data"),
        Input(SCHEME, "data"),
    )
    def draw(search: str, path: str, _pulse: Any, scheme: str) -> tuple[Any, ...]:
        """Keeps the last picture on screen while the store is down."""
        if path not in PATHS:
            raise PreventUpdate
        view = View.of(search)
        now_ns = context.now_ns()
        start_ns, end_ns = view.bounds(now_ns)
        destination = view.destination or view.service
        try:
            found = latency(context.store, start_ns, end_ns, view.source, destination)
            choices = choosable(context, start_ns, end_ns)
            newest = 0 if found.moments else newest_ns(context.store, now_ns)
        except CollectorError as error:
            return (*[no_update] * 6, notice(error), no_update, no_update)
        chosen = value(view)
        data = with_chosen(choices, chosen)
        if not found.moments:
            if newest and (view.source or destination):
                nothing = unheard(view)
            else:
                nothing = empty(context.settings, view, newest, "/latency")
            return no_update, no_update, None, None, NOT_SHOWN, nothing, None, data, chosen
        return (
            percentiles_figure(found, scheme),
            heatmap_figure(found, scheme),
            summary(found, (end_ns - start_ns) / SECOND_NS),
            note(found),
            SHOWN,
            None,
            None,
            data,
            chosen,
        )


def value(view: View) -> str:
    """The choice as the selector knows it: a JSON list of nothing, a service, or both ends."""
    if view.source and view.destination:
        return json.dumps([view.source, view.destination])
    return json.dumps([view.service]) if view.service else EVERYTHING


def choosable(context: Context, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
    """Raises StoreDown, StoreError."""
    called = [one.name for one in services(context.store, start_ns, end_ns) if one.called]
    edges = sorted(
        (edge.source, edge.destination) for edge in service_graph(context.store, start_ns, end_ns)
    )
    return [
        {"group": "Everything", "items": [{"value": EVERYTHING, "label": "all calls"}]},
        {
            "group": "Services",
            "items": [{"value": json.dumps([name]), "label": name} for name in called],
        },
        {
            "group": "Edges",
            "items": [{"value": json.dumps(link), "label": " → ".join(link)} for link in edges],
        },
    ]


def with_chosen(choices: list[dict[str, Any]], chosen: str) -> list[dict[str, Any]]:
    """A choice of the URL is shown although nothing was heard of it."""
    if any(item["value"] == chosen for group in choices for item in group["items"]):
        return choices
    label = " → ".join(json.loads(chosen))
    return [*choices, {"group": "Not in this window", "items": [{"value": chosen, "label": label}]}]


def unheard(view: View) -> html.Div:
    what = f"{view.source} → {view.destination}" if view.source else view.service
    return html.Div(
        [
            html.H2(f"{what}: no calls answered in {view.described()}"),
            html.P(
                "Other services have calls. One that only calls others has no latency of its own."
            ),
            dcc.Link("Look at all calls", href="/latency" + view.unchosen()),
        ],
        className="empty",
    )


def summary(found: Latency, seconds: float) -> html.Dl:
    """The whole window in six numbers."""
    requests = sum(moment.requests for moment in found.moments)
    errors = sum(moment.errors for moment in found.moments)
    denied = sum(moment.denied for moment in found.moments)
    counts: Counter[int] = Counter()
    for moment in found.moments:
        counts.update(moment.counts)
    return tiles(
        ("rate", rate(requests, seconds), ""),
        ("errors", share(errors, requests), health(requests, errors)),
        ("denied", share(denied, requests), "denied" if denied else ""),
        *((f"p{level}", duration(percentile_ms(counts, level)), "") for level in (50, 95, 99)),
    )


def percentile_ms(counts: Counter[int], level: int) -> float:
    """Read at the middle of its bucket, as the store does."""
    wanted, passed = sum(counts.values()) * level / 100, 0
    for bucket in sorted(counts):
        passed += counts[bucket]
        if passed >= wanted:
            return float(2 ** ((bucket + 0.5) / 8)) / 1000
    return float("nan")


def note(found: Latency) -> str:
    requests = sum(moment.requests for moment in found.moments)
    return (
        f"{count(requests)} requests in steps of {found.steps.step} s, times in UTC. Percentiles "
        "are read of buckets, at most 4.5 % off. Denied requests are counted with the others."
    )
