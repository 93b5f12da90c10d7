"""Service graph: who calls whom in the window, where it fails, and where policy refuses."""

from typing import Any

import dash_cytoscape as cyto
from dash import Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate

from collector.errors import CollectorError
from collector.store.queries.beginnings import first_call_s
from collector.store.queries.denials_by_rule import denials_by_rule
from collector.store.queries.freshness import newest_ns
from collector.store.queries.service_graph import service_graph
from collector.store.queries.unpaired import unpaired
from dashboard.arrangement import Arrangement, arrange
from dashboard.context import PULSE, SCHEME, URL, Context, notice
from dashboard.empty import empty
from dashboard.graph import MOST_SERVICES, Graph, graph
from dashboard.graph_elements import elements
from dashboard.graph_style import style
from dashboard.side_panel import panel
from dashboard.view import SECOND_NS, View

PATHS = ("/", "/graph")
NAME = "Service graph"
MOST_EDGES = 5000
GRAPH, PANEL, NOTICE = "service-graph", "service-graph-panel", "service-graph-notice"
EMPTY, DRAWN, HIDDEN = "service-graph-empty", "service-graph-drawn", "service-graph-hidden"
PLACES, REARRANGE, FIT = "service-graph-places", "service-graph-rearrange", "service-graph-fit"
SHOWN: dict[str, str] = {}
NOT_SHOWN = {"visibility": "hidden", "position": "absolute"}  # Cytoscape breaks without a size


def layout() -> html.Div:
    drawing = cyto.Cytoscape(
        id=GRAPH,
        elements=[],
        stylesheet=style("light"),
        layout={"name": "preset", "fit": False},
        autoRefreshLayout=False,
        boxSelectionEnabled=False,
        responsive=True,
        minZoom=0.1,
        maxZoom=2.5,
        className="canvas",
        style={"width": "100%", "height": "100%"},
    )
    tools = html.Div(
        [
            html.Button("Fit", id=FIT, title="show the whole graph"),
            html.Button("Rearrange", id=REARRANGE, title="place the services anew"),
        ],
        className="tools",
    )
    picture = html.Div(
        [
            html.Div([drawing, tools, html.Div(id=HIDDEN, className="hidden"), legend()],
                     className="drawing"),
            html.Aside(id=PANEL, className="panel"),
        ],
        id=DRAWN,
        className="graph-page",
        style=NOT_SHOWN,
    )  # fmt: skip
    return html.Div(
        [
            dcc.Store(id=PLACES, storage_type="session"),
            html.Div(id=NOTICE),
            html.Div(id=EMPTY),
            picture,
        ],
        className="page",
    )


def legend() -> html.Div:
    lines = [
        ("line ok", "healthy"),
        ("line warn", "errors ≥ 1 %"),
        ("line bad", "errors ≥ 5 %"),
        ("line denied", "denied by policy"),
        ("shape service", "service"),
        ("shape caller", "only calls"),
        ("shape outside", "no sidecar"),
        ("shape host", "database, queue, host"),
        ("shape unknown", "unknown"),
    ]
    entries = [html.Span([html.I(className=kind), text]) for kind, text in lines]
    return html.Div([*entries, html.Span("wider: more calls")], className="legend")


def ask(context: Context, view: View) -> Graph:
    """Rates are of the part of the window since the first call: before it, nobody reported.

    Raises StoreDown, StoreError.
    """
    start_ns, end_ns = view.bounds(context.now_ns())
    known_ns = max(start_ns, first_call_s(context.store) * SECOND_NS)
    return graph(
        service_graph(context.store, start_ns, end_ns, MOST_EDGES),
        denials_by_rule(context.store, start_ns, end_ns, MOST_EDGES),
        max(1, (end_ns - known_ns) / SECOND_NS),
        most=MOST_EDGES if view.all else MOST_SERVICES,
        chosen=(view.source, view.destination, view.service),
        unpaired=unpaired(context.store, start_ns, end_ns),
    )


def register(app: Dash, context: Context) -> None:
    @app.callback(
        Output(GRAPH, "elements"),
        Output(PLACES, "data"),
        Output(PANEL, "children"),
        Output(HIDDEN, "children"),
        Output(DRAWN, "style"),
        Output(EMPTY, "children"),
        Output(NOTICE, "children"),
        Input(URL, "search"),
        Input(URL, "pathname"),
        Input(PULSE, "data"),
        Input(REARRANGE, "n_clicks"),
        State(PLACES, "data"),
    )
    def draw(
        search: str, path: str, _pulse: Any, _rearrange: int | None, places: Any
    ) -> tuple[Any, ...]:
        """Keeps the last picture on screen while the store is down."""
        if path not in PATHS:
            raise PreventUpdate
        view = View.of(search)
        try:
            found = ask(context, view)
            newest = 0 if found.edges else newest_ns(context.store, context.now_ns())
        except CollectorError as error:
            return (*[no_update] * 6, notice(error))
        if not found.edges:
            nothing = empty(context.settings, view, newest, "/graph")
            return [], no_update, None, None, NOT_SHOWN, nothing, None
        known = None if ctx.triggered_id == REARRANGE else Arrangement.from_json(places)
        placed = arrange(found.links, known)
        return (
            elements(found, placed, view),
            placed.to_json(),
            panel(found, view),
            hidden(found, view),
            SHOWN,
            None,
            None,
        )

    @app.callback(Output(GRAPH, "stylesheet"), Input(SCHEME, "data"))
    def restyle(scheme: str) -> Any:
        return style(scheme)


def hidden(found: Graph, view: View) -> Any:
    """Says so when not all is shown."""
    if found.hidden:
        count = len(found.services)
        more = dcc.Link("show all", href="/graph" + view.search(all="1"))
        return [f"Showing {count} of {count + found.hidden} services, the busiest – ", more]
    if view.all:
        return dcc.Link(
            f"Show the busiest {MOST_SERVICES} only", href="/graph" + view.search(all="")
        )
    return None
