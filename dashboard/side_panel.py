"""What is known of the chosen edge or service, beside the graph."""

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from collector.look_alikes import caution
from collector.store.queries.service_graph import Edge
from collector.store.queries.unpaired import WHY, Unpaired
from dashboard.graph import Graph, Service
from dashboard.numbers import duration, rate, share
from dashboard.pieces import denial_table, outcome_bar, table_head, tiles
from dashboard.theme import health
from dashboard.view import View

TOLD_BY = {
    "destination": "told by the sidecar at the destination",
    "source": "told by the sidecar at the source",
    "spans": "read of spans; no sidecar reports it",
    "decisions": "known only from decisions; no sidecar reports it",
}
KINDS = {
    "service": "service",
    "caller": "only calls others",
    "outside": "no sidecar of its own reports",
    "database": "a database, as its callers name it",
    "queue": "a queue, as who writes to it or reads from it names it",
    "host": "a host that sent no spans, as its callers name it",
    "unknown": "callers that did not say who they are",
}
HEALTH = {"ok": "healthy", "warn": "some errors", "bad": "failing", "idle": "no requests"}
MOST_ATTENTION = 6


def panel(found: Graph, view: View) -> list[Any]:
    edge = found.edge(view.source, view.destination)
    if edge:
        return edge_panel(edge, found, view)
    if view.service in found.services:
        return service_panel(found.services[view.service], found, view)
    return overview(found, view)


def edge_panel(edge: Edge, found: Graph, view: View) -> list[Any]:
    denials = found.denials.get((edge.source, edge.destination), [])
    seconds = found.seconds
    return [
        heading(
            "Edge",
            [
                link(edge.source, "/graph", view, service=edge.source),
                html.Span(" → ", className="arrow"),
                link(edge.destination, "/graph", view, service=edge.destination),
            ],
            view,
        ),
        html.P(TOLD_BY[edge.reporter], className="quiet"),
        tiles(
            ("rate", rate(edge.requests, seconds), ""),
            ("errors", share(edge.errors, edge.requests), health(edge.requests, edge.errors)),
            ("denied", share(edge.denied, edge.requests), "denied" if edge.denied else ""),
            ("p50", duration(edge.p50_ms), ""),
            ("p95", duration(edge.p95_ms), ""),
            ("p99", duration(edge.p99_ms), ""),
        ),
        outcome_bar(edge.requests, edge.errors, edge.denied),
        denial_table(denials, seconds),
        dcc.Link(
            "Latency of this edge",
            href="/latency" + view.search(service=""),
            className="button",
            id="edge-latency-link",
        ),
    ]


def service_panel(service: Service, found: Graph, view: View) -> list[Any]:
    seconds = found.seconds
    received = [edge for edge in found.edges if edge.destination == service.name]
    sent = [edge for edge in found.edges if edge.source == service.name]
    figures: list[Any] = []
    if service.received:
        figures = [
            tiles(
                ("rate", rate(service.received, seconds), ""),
                (
                    "errors",
                    share(service.errors, service.received),
                    health(service.received, service.errors),
                ),
                (
                    "denied",
                    share(service.denied, service.received),
                    "denied" if service.denied else "",
                ),
            ),
            outcome_bar(service.received, service.errors, service.denied),
        ]
    return [
        heading("Service", [html.Span(service.name)], view),
        html.P(KINDS[service.kind], className="quiet"),
        look_alike(service.name),
        *figures,
        edge_table("Called by", [(edge.source, edge) for edge in received], seconds, view),
        edge_table("Calls", [(edge.destination, edge) for edge in sent], seconds, view),
        dcc.Link(
            "Latency of this service",
            href="/latency" + view.search(source="", destination=""),
            className="button",
        )
        if service.received
        else None,
    ]


def look_alike(name: str) -> Any:
    """A badge on a name that may pass for another."""
    why = caution(name)
    return dmc.Badge(why, color="orange", id="look-alike") if why else None


def overview(found: Graph, view: View) -> list[Any]:
    """Nothing is chosen: how much there is, and where to look first."""
    requests = sum(edge.requests for edge in found.edges)
    errors = sum(edge.errors for edge in found.edges)
    denied = sum(edge.denied for edge in found.edges)
    troubled = sorted(
        (edge for edge in found.edges if edge.errors or edge.denied),
        key=lambda edge: -(edge.errors + edge.denied),
    )[:MOST_ATTENTION]
    return [
        html.H2("Overview"),
        html.P(
            f"{len(found.services)} services, {len(found.edges)} edges, {view.described()}",
            className="quiet",
        ),
        tiles(
            ("calls", rate(requests, found.seconds), ""),
            ("errors", share(errors, requests), health(requests, errors)),
            ("denied", share(denied, requests), "denied" if denied else ""),
        ),
        html.H3("Where to look first"),
        attention(troubled, view)
        if troubled
        else html.P("No call failed and none was denied.", className="quiet"),
        unknown_ends(found.unpaired),
        html.P("Choose an edge or a service for its figures.", className="quiet"),
    ]


def unknown_ends(found: Sequence[Unpaired]) -> html.Div | None:
    """What is missing in the picture, and why."""
    if not found:
        return None
    rows = [
        html.Li([html.B(each.service), f": {each.calls:,.0f} calls, {WHY[each.reason]}"])
        for each in found[:MOST_ATTENTION]
    ]
    return html.Div([html.H3("Calls with an unknown end"), html.Ul(rows, className="attention")])


def attention(edges: Sequence[Edge], view: View) -> html.Ul:
    return html.Ul(
        [
            html.Li(
                [
                    edge_link(f"{edge.source} → {edge.destination}", edge, view),
                    html.Div(
                        [
                            html.Span(
                                f"{share(edge.errors, edge.requests)} errors",
                                className=health(edge.requests, edge.errors),
                            )
                            if edge.errors
                            else None,
                            html.Span(
                                f"{share(edge.denied, edge.requests)} denied", className="denied"
                            )
                            if edge.denied
                            else None,
                        ],
                        className="causes",
                    ),
                ]
            )
            for edge in edges
        ],
        className="attention",
    )


def heading(what: str, title: list[Any], view: View) -> html.Div:
    close = dcc.Link("×", href="/graph" + view.unchosen(), className="close", title="close")
    return html.Div([html.Div([html.Small(what), html.H2(title)]), close], className="heading")


def edge_table(
    title: str, edges: Sequence[tuple[str, Edge]], seconds: float, view: View
) -> html.Div | None:
    if not edges:
        return None
    rows = [
        dmc.TableTr(
            [
                dmc.TableTd(edge_link(name, edge, view)),
                dmc.TableTd(rate(edge.requests, seconds), className="number"),
                dmc.TableTd(
                    share(edge.errors, edge.requests),
                    className=f"number {health(edge.requests, edge.errors)}",
                ),
                dmc.TableTd(duration(edge.p95_ms), className="number"),
            ]
        )
        for name, edge in edges
    ]
    head = table_head("", "rate", "errors", "p95")
    return html.Div([html.H3(title), dmc.Table([head, dmc.TableTbody(rows)])])


def edge_link(text: str, edge: Edge, view: View) -> dcc.Link:
    return link(text, "/graph", view, source=edge.source, destination=edge.destination, service="")


def link(text: str, path: str, view: View, **changes: str) -> dcc.Link:
    chosen = {"source": "", "destination": "", "service": ""} | changes
    return dcc.Link(text, href=path + view.search(**chosen))
