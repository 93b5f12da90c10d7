"""Where the services of a graph stand: callers left of those they call, nobody moved later.

A layered drawing after Sugiyama: longest paths give the layers, a long edge holds a place in
each layer it passes, barycentres order a layer. Same graph, same drawing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

Link = tuple[str, str]
Point = tuple[float, float]
Place = str | tuple[str, str, int]  # a service, or where a long edge passes a layer

LAYER_WIDTH = 256.0
SERVICE_HEIGHT = 112.0
PASSING_HEIGHT = 70.0
SWEEPS = 12
SHAPE = 1.45  # a flat drawing is stretched towards this width by height, which screens have
MOST_STRETCH = 1.7


@dataclass(frozen=True)
class Arrangement:
    """`routes` holds, for an edge longer than a layer, the points it passes."""

    positions: Mapping[str, Point] = field(default_factory=dict)
    routes: Mapping[Link, list[Point]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, stored: dict[str, Any] | None) -> Self:
        """What `to_json` made, kept by the browser."""
        stored = stored or {}
        return cls(
            {name: (x, y) for name, (x, y) in stored.get("positions", {}).items()},
            {
                (source, destination): [(x, y) for x, y in points]
                for source, destination, points in stored.get("routes", [])
            },
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "positions": dict(self.positions),
            "routes": [[*link, points] for link, points in self.routes.items()],
        }


def arrange(links: Iterable[Link], known: Arrangement | None = None) -> Arrangement:
    """Who stands in `known` stays there; the others find a free place in their layer."""
    links = sorted(set(links))
    known = known or Arrangement()
    names = {name for link in links for name in link}
    if names <= known.positions.keys():
        return known
    fresh = layered(links)
    if not names & known.positions.keys():
        return fresh
    positions = dict(known.positions)
    for name in sorted(names - known.positions.keys()):
        positions[name] = free_place(fresh.positions[name], positions.values())
    return Arrangement(positions, known.routes)


def free_place(wanted: Point, taken: Iterable[Point]) -> Point:
    """The nearest place above or below where nobody stands."""
    x, y = wanted
    near = [there for across, there in taken if abs(across - x) < LAYER_WIDTH / 2]
    step = 0
    while True:
        for tried in (y + step * SERVICE_HEIGHT / 2, y - step * SERVICE_HEIGHT / 2):
            if all(abs(tried - there) >= SERVICE_HEIGHT * 0.9 for there in near):
                return x, tried
        step += 1


def layered(links: list[Link]) -> Arrangement:
    layer_of = layers(links)
    chains: list[list[Place]] = []
    routed: dict[Link, list[Place]] = {}
    for source, destination in links:
        first, last = layer_of[source], layer_of[destination]
        passed: list[Place] = [(source, destination, n) for n in range(first + 1, last)]
        if passed:
            routed[source, destination] = passed
        if first < last:
            chains.append([source, *passed, destination])
    rows: dict[int, list[Place]] = defaultdict(list)
    for name in sorted(layer_of):
        rows[layer_of[name]].append(name)
    for passed in routed.values():
        for place in passed:
            rows[int(place[2])].append(place)
    neighbours: dict[Place, list[Place]] = defaultdict(list)
    for chain in chains:
        for one, other in pairwise(chain):
            neighbours[one].append(other)
            neighbours[other].append(one)
    height = stretched(settled(rows, neighbours), LAYER_WIDTH * (max(rows) - min(rows)))
    return Arrangement(
        {name: (layer * LAYER_WIDTH, height[name]) for name, layer in layer_of.items()},
        {
            link: [(int(place[2]) * LAYER_WIDTH, height[place]) for place in passed]
            for link, passed in routed.items()
        },
    )


def stretched(height: Mapping[Place, float], width: float) -> dict[Place, float]:
    tall = max(height.values()) - min(height.values())
    stretch = min(MOST_STRETCH, max(1.0, width / SHAPE / tall)) if tall else 1.0
    return {place: round(there * stretch, 1) for place, there in height.items()}


def layers(links: list[Link]) -> dict[str, int]:
    """The longest way to each service, edges that close a circle left out."""
    forward = without_circles(links)
    callers: dict[str, list[str]] = defaultdict(list)
    callees: dict[str, list[str]] = defaultdict(list)
    for source, destination in forward:
        callees[source].append(destination)
        callers[destination].append(source)
    layer_of: dict[str, int] = {}
    waiting = {name: len(callers[name]) for link in links for name in link}
    ready = sorted(name for name, count in waiting.items() if not count)
    while ready:
        name = ready.pop()
        layer_of[name] = max((layer_of[caller] + 1 for caller in callers[name]), default=0)
        for callee in callees[name]:
            waiting[callee] -= 1
            if not waiting[callee]:
                ready.append(callee)
    for name in layer_of:
        if not callers[name] and callees[name]:  # a caller stands next to whom it calls
            layer_of[name] = min(layer_of[callee] for callee in callees[name]) - 1
    return layer_of


def without_circles(links: list[Link]) -> list[Link]:
    """Links, less those that lead back to a service on the way to them. Entrances go first."""
    callees: dict[str, list[str]] = defaultdict(list)
    for source, destination in links:
        callees[source].append(destination)
    called = {destination for source, destination in links if source != destination}
    kept: list[Link] = []
    done: set[str] = set()
    for root in sorted(callees, key=lambda name: (name in called, name)):
        path = [(root, iter(callees[root]))] if root not in done else []
        on_path = {root}
        while path:
            name, rest = path[-1]
            callee = next(rest, None)
            if callee is None:
                path.pop()
                on_path.discard(name)
                done.add(name)
            elif callee not in on_path:
                kept.append((name, callee))
                if callee not in done:
                    path.append((callee, iter(callees[callee])))
                    on_path.add(callee)
    return kept


def settled(
    rows: Mapping[int, list[Place]], neighbours: Mapping[Place, list[Place]]
) -> dict[Place, float]:
    """The height of every place: near the middle of its neighbours, in order, not overlapping."""
    height: dict[Place, float] = {}
    for row in rows.values():
        height |= dict(zip(row, spread(row, [0.0] * len(row)), strict=True))
    for sweep in range(SWEEPS):
        for layer in sorted(rows, reverse=bool(sweep % 2)):
            row = rows[layer]
            middle = {
                place: sum(height[other] for other in beside) / len(beside)
                if (beside := neighbours.get(place))
                else height[place]
                for place in row
            }
            row.sort(key=lambda place: (middle[place], str(place)))
            wanted = [middle[place] for place in row]
            height |= dict(zip(row, spread(row, wanted), strict=True))
    return height


def spread(row: list[Place], wanted: list[float]) -> list[float]:
    """Heights near the wanted ones, in order and apart, around the same middle."""
    sizes = [SERVICE_HEIGHT if isinstance(place, str) else PASSING_HEIGHT for place in row]
    heights: list[float] = []
    for number, want in enumerate(wanted):
        lowest = heights[-1] + (sizes[number - 1] + sizes[number]) / 2 if heights else want
        heights.append(max(want, lowest))
    drift = (sum(heights) - sum(wanted)) / len(row) if row else 0.0
    return [height - drift for height in heights]
