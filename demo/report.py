"""What a demo without a browser leaves behind."""

from collections.abc import Sequence
from typing import Any

from collector.store.queries.service_graph import Edge
from demo.reconcile import Accounts


def report(accounts: Accounts, edges: Sequence[Edge], first_edge_s: float | None) -> dict[str, Any]:
    envoy, stored = accounts.envoy, accounts.stored
    return {
        "envoy_requests": envoy.requests,
        "envoy_denied": envoy.denied,
        "envoy_unanswered": envoy.unanswered,
        "checks": accounts.checks,
        "denied": stored.denied,
        "requests_stored": stored.requests,
        "spans_stored": stored.spans,
        "spans_sent": envoy.spans_sent,
        "duplicates": stored.duplicates,
        "dead_letters": stored.dead_letters,
        "edges": [row(edge) for edge in edges],
        "seconds_to_first_edge": None if first_edge_s is None else round(first_edge_s, 2),
    }


def row(edge: Edge) -> dict[str, Any]:
    return {
        "source": edge.source,
        "destination": edge.destination,
        "requests": round(edge.requests),
        "errors": round(edge.errors),
        "denied": round(edge.denied),
        "p95_ms": round(edge.p95_ms, 1),
    }
