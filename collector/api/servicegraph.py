"""The service graph as Istio's servicegraph add-on told it, for tools that read that.

Source: istio/istio 1.0, addons/servicegraph: /graph and /dotgraph.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from collector.api.asking import REFUSALS, Asked, Asker, answered
from collector.api.problems import ProblemRoute

Empty = Annotated[
    bool, Query(alias="filter_empty", description="leave out services without a call")
]


def servicegraph_router(ask: Asker) -> APIRouter:
    api = APIRouter(
        prefix="/servicegraph", route_class=ProblemRoute, responses=REFUSALS, tags=["servicegraph"]
    )

    @api.get("/graph", response_model=dict[str, Any])
    async def graph(asked: Asked, filter_empty: Empty = False) -> dict[str, Any]:
        """Nodes by name; edges with the rate of requests and of errors."""
        found = await answered(ask.graph, *asked, 1000)
        seconds = (asked.end_ns - asked.start_ns) / 1e9
        return {
            "nodes": {name: {} for name in names(found, filter_empty)},
            "edges": [
                {
                    "source": edge["source"],
                    "target": edge["destination"],
                    "labels": {"reqs/sec": f"{edge['requests'] / seconds:f}"}
                    | ({"errs/sec": f"{edge['errors'] / seconds:f}"} if edge["errors"] else {}),
                }
                for edge in found["edges"]
            ],
        }

    @api.get("/dotgraph", response_class=Response)
    async def dotgraph(asked: Asked, filter_empty: Empty = False) -> Response:
        """The same for Graphviz."""
        found = await answered(ask.graph, *asked, 1000)
        seconds = (asked.end_ns - asked.start_ns) / 1e9
        lines = [f"  {quoted(name)};" for name in names(found, filter_empty)]
        for edge in found["edges"]:
            rate = quoted(f"reqs/sec: {edge['requests'] / seconds:f}")
            ends = f"{quoted(edge['source'])} -> {quoted(edge['destination'])}"
            lines.append(f"  {ends} [label={rate}];")
        body = "\n".join(["digraph {", *lines, "}"]) + "\n"
        return Response(body, media_type="text/vnd.graphviz")

    return api


def names(graph: dict[str, Any], filter_empty: bool) -> list[str]:
    called = {name for edge in graph["edges"] for name in (edge["source"], edge["destination"])}
    return [node["name"] for node in graph["nodes"] if not filter_empty or node["name"] in called]


def quoted(text: str) -> str:
    """A name for Graphviz, whatever it holds."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
