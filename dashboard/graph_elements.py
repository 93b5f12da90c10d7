"""The service graph as Cytoscape's elements."""

import json
import math
from typing import Any

from collector.store.queries.denials_by_rule import Denials
from collector.store.queries.service_graph import Edge
from dashboard.arrangement import Arrangement, Point
from dashboard.graph import Graph, Service
from dashboard.numbers import duration, per_minute, rate, share, shortened
from dashboard.theme import health
from dashboard.view import View

Element = dict[str, Any]
BESIDE = 44.0  # how far from an edge the denials on it are drawn


def node_id(name: str) -> str:
    return f"node:{name}"


def edge_id(source: str, destination: str, kind: str = "edge") -> str:
    return kind + json.dumps([source, destination])


def elements(found: Graph, places: Arrangement, view: View) -> list[Element]:
    """A node a service; an edge a caller and called; a violet edge beside it for its denials."""
    near = neighbourhood(found, view)
    nodes = [
        node(service, places, found.seconds, near, view) for service in found.services.values()
    ]
    drawn = list(nodes)
    for edge in found.edges:
        link = edge.source, edge.destination
        route = routed(places, link)
        classes = [] if near is None or link in near[1] else ["faded"]
        if link == (view.source, view.destination):
            classes.append("chosen")
        denials = found.denials.get(link, [])
        if edge.requests:
            drawn.append(call(edge, found.seconds, route, classes))
        if denials or edge.denied:
            beside = route_beside(route, BESIDE if edge.requests else 0)
            drawn.append(denial(edge, denials, found.seconds, beside, classes))
    return drawn


def neighbourhood(found: Graph, view: View) -> tuple[set[str], set[tuple[str, str]]] | None:
    """Services and edges that stay lit while something is chosen; None: all."""
    if view.source and view.destination:
        link = view.source, view.destination
        return (set(link), {link}) if found.edge(*link) else None
    if view.service in found.services:
        links = {link for link in found.links if view.service in link}
        return {view.service, *(name for link in links for name in link)}, links
    return None


def node(
    service: Service,
    places: Arrangement,
    seconds: float,
    near: tuple[set[str], set[tuple[str, str]]] | None,
    view: View,
) -> Element:
    x, y = places.positions[service.name]
    carried = service.sent if service.kind == "caller" else service.received
    classes = [service.kind, health(service.received, service.errors)]
    if service.name == view.service:
        classes.append("chosen")
    if near is not None and service.name not in near[0]:
        classes.append("faded")
    return {
        "data": {
            "id": node_id(service.name),
            "name": service.name,
            "label": labelled(service.name, rate(carried, seconds)),
        },
        "position": {"x": x, "y": y},
        "classes": " ".join(classes),
    }


def labelled(name: str, traffic: str) -> str:
    """The name over its namespace, which follows the first dot, and its traffic."""
    short, _, namespace = name.partition(".")
    under = f"{shortened(namespace, 12)} · {traffic}" if namespace else traffic
    return f"{shortened(short or name, 17)}\n{under}"


def call(edge: Edge, seconds: float, route: list[Point], classes: list[str]) -> Element:
    label = (
        f"{rate(edge.requests, seconds)}, {share(edge.errors, edge.requests)} errors"
        f"\np95 {duration(edge.p95_ms)}"
    )
    state = health(edge.requests, edge.errors)
    return {
        "data": {
            "id": edge_id(edge.source, edge.destination),
            "source": node_id(edge.source),
            "target": node_id(edge.destination),
            "from": edge.source,
            "to": edge.destination,
            "requests": edge.requests,
            "label": label,
            "width": width(edge.requests, seconds),
            **curve(route),
        },
        "classes": " ".join(["call", state, *(["routed"] if route else []), *classes]),
    }


def denial(
    edge: Edge, denials: list[Denials], seconds: float, route: list[Point], classes: list[str]
) -> Element:
    denied = sum(found.denials for found in denials) or edge.denied
    return {
        "data": {
            "id": edge_id(edge.source, edge.destination, "denied"),
            "source": node_id(edge.source),
            "target": node_id(edge.destination),
            "from": edge.source,
            "to": edge.destination,
            "denied": denied,
            "label": f"{per_minute(denied, seconds)}\n{blamed(denials)}",
            "width": width(denied, seconds),
            **curve(route),
        },
        "classes": " ".join(["denied", *(["routed"] if route else []), *classes]),
    }


def blamed(denials: list[Denials]) -> str:
    """ "by free-tier", with how many more rules there are."""
    rules = list(dict.fromkeys(found.rule for found in denials if found.rule))
    if not rules:
        return "denied"
    more = f" +{len(rules) - 1}" if len(rules) > 1 else ""
    return f"by {shortened(rules[0], 24)}{more}"


def width(count: float, seconds: float) -> float:
    """Pixels, by the logarithm of the rate."""
    return round(min(9.0, 1.5 + 1.5 * math.log10(1 + 60 * count / seconds)), 2)


def routed(places: Arrangement, link: tuple[str, str]) -> list[Point]:
    """The points an edge passes, as Cytoscape wants them: how far along, how far aside."""
    points = places.routes.get(link, [])
    (x1, y1), (x2, y2) = places.positions[link[0]], places.positions[link[1]]
    length = math.hypot(x2 - x1, y2 - y1)
    if not length:
        return []
    along, aside = (
        ((x2 - x1) / length, (y2 - y1) / length),
        (-(y2 - y1) / length, (x2 - x1) / length),
    )
    return [
        (
            round(((x - x1) * along[0] + (y - y1) * along[1]) / length, 3),
            round((x - x1) * aside[0] + (y - y1) * aside[1], 1),
        )
        for x, y in points
    ]


def route_beside(route: list[Point], distance: float) -> list[Point]:
    if not distance:
        return route
    return [(along, aside + distance) for along, aside in route or [(0.5, 0.0)]]


def curve(route: list[Point]) -> dict[str, str]:
    if not route:
        return {}
    return {
        "weights": " ".join(str(along) for along, _ in route),
        "distances": " ".join(str(aside) for _, aside in route),
    }
