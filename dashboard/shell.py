"""The frame around every page: name, links, time window, refresh, dark mode, freshness."""

from typing import Any

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html

from collector.errors import CollectorError
from collector.store.queries.freshness import newest_ns
from dashboard.context import PULSE, SCHEME, URL, Context
from dashboard.pages import PAGES
from dashboard.view import REFRESH_NAMES, WINDOW_NAMES

WINDOW, OWN_WINDOW, REFRESH, TICK, CLOCK = "window", "own-window", "refresh", "tick", "clock"
NEWEST, FRESHNESS, TOGGLE, PATHS = "newest", "freshness", "scheme-toggle", "paths"
NAMESPACE = "meshmeter"  # of assets/meshmeter.js

# The scheme is set before the first paint, so that a dark page does not flash.
INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
<link rel="icon" type="image/svg+xml" href="/assets/logo.svg">
{%css%}
<script>
(function () {
  var kept = localStorage.getItem("mantine-color-scheme-value");
  var system = matchMedia("(prefers-color-scheme: dark)").matches;
  var dark = kept === "dark" || (kept !== "light" && system);
  document.documentElement.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
})();
</script>
</head>
<body>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>
"""


def page_id(page: Any) -> str:
    return f"page-{page.NAME.lower().replace(' ', '-')}"


def link_id(page: Any) -> str:
    return f"link-{page.NAME.lower().replace(' ', '-')}"


def layout() -> dmc.MantineProvider:
    return dmc.MantineProvider(
        [
            dcc.Location(id=URL, refresh=False),
            dcc.Store(id=PULSE),
            dcc.Store(id=PATHS, data=[list(page.PATHS) for page in PAGES]),
            dcc.Store(id=NEWEST),
            dcc.Store(id=SCHEME, data="light"),
            dcc.Interval(id=TICK, interval=10_000),
            dcc.Interval(id=CLOCK, interval=1_000),
            header(),
            html.Main([html.Div(page.layout(), id=page_id(page)) for page in PAGES]),
            html.Div("There is no such page.", id="page-unknown", className="empty"),
        ],
        defaultColorScheme="auto",
        theme={"primaryColor": "blue", "fontFamily": "system-ui, -apple-system, sans-serif"},
    )


def header() -> html.Header:
    brand = html.Div([html.Img(src="/assets/logo.svg", alt=""), "meshmeter"], className="brand")
    links = [
        dcc.Link(page.NAME, href=page.PATHS[-1], id=link_id(page), className="page-link")
        for page in PAGES
    ]
    window = dmc.SegmentedControl(
        id=WINDOW,
        data=[{"value": value, "label": name} for value, name in WINDOW_NAMES.items()],
        value="15m",
        size="xs",
    )
    refresh = dmc.Select(
        id=REFRESH,
        data=[{"value": value, "label": name} for value, name in REFRESH_NAMES.items()],
        value="10s",
        size="xs",
        w=78,
        allowDeselect=False,
    )
    toggle = dmc.ColorSchemeToggle(
        id=TOGGLE, lightIcon="☀", darkIcon="☾", variant="default", size="md",
        **{"aria-label": "light or dark"},
    )  # fmt: skip
    return html.Header(
        [
            brand,
            html.Nav(links),
            html.Div(id=FRESHNESS, className="freshness", role="status"),
            html.Div(id=OWN_WINDOW, className="own-window"),
            html.Div(window, title="time window"),
            html.Label(["refresh", refresh], className="refresh"),
            toggle,
        ],
        className="header",
    )


def register(app: Dash, context: Context) -> None:
    def clientside(function: str, *dependencies: Any, initially: bool = True) -> None:
        app.clientside_callback(  # type: ignore[no-untyped-call]
            ClientsideFunction(NAMESPACE, function),
            *dependencies,
            prevent_initial_call=not initially,
        )

    pages = [page_id(page) for page in PAGES]
    clientside(
        "show",
        *(Output(name, "style") for name in (*pages, "page-unknown")),
        *(Output(link_id(page), "className") for page in PAGES),
        *(Output(link_id(page), "href") for page in PAGES),
        Input(URL, "pathname"),
        Input(URL, "search"),
        State(PATHS, "data"),
    )
    clientside(
        "follow",
        Output(WINDOW, "value"),
        Output(REFRESH, "value"),
        Output(TICK, "interval"),
        Output(TICK, "disabled"),
        Output(OWN_WINDOW, "children"),
        Input(URL, "search"),
    )
    clientside("steer", Input(WINDOW, "value"), Input(REFRESH, "value"), initially=False)
    clientside("pulse", Output(PULSE, "data"), Input(TICK, "n_intervals"))
    clientside("choose", Input("latency-choice", "value"), initially=False)
    clientside("watch", Input("service-graph", "elements"))
    clientside("fit", Input("service-graph-fit", "n_clicks"), initially=False)
    clientside("rearrange", Input("service-graph-rearrange", "n_clicks"), initially=False)
    clientside(
        "age", Output(FRESHNESS, "children"), Input(NEWEST, "data"), Input(CLOCK, "n_intervals")
    )

    @app.callback(Output(NEWEST, "data"), Input(PULSE, "data"))
    def newest(_pulse: Any) -> dict[str, Any]:
        """Milliseconds since 1970 of the newest call; 0 for none; an error when it cannot tell."""
        try:
            return {"newest_ms": newest_ns(context.store, context.now_ns()) // 1_000_000}
        except CollectorError:
            return {"error": "the store does not answer"}
