"""The questions of the API, asked of the store. Each waits for it: call them in a thread."""

from collections.abc import Sequence
from typing import Any

from collector.look_alikes import caution
from collector.model import LogPlace, LogSearch, TraceSearch
from collector.store.client import Store
from collector.store.queries.latency import latency
from collector.store.queries.logs import NEWEST as NEWEST_LOG
from collector.store.queries.logs import logs, place_after
from collector.store.queries.operations import operations
from collector.store.queries.service_graph import Edge, service_graph
from collector.store.queries.services import services
from collector.store.queries.trace import trace
from collector.store.queries.traces import NEWEST, traces
from collector.store.queries.unpaired import WHY, unpaired
from collector.times import rfc3339

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")
SEVERITIES = ("trace", "debug", "info", "warn", "error", "fatal")  # four numbers each, from 1


class Questions:
    """Windows are [start_ns, end_ns). Everything raises StoreDown and StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def edges(
        self, start_ns: int, end_ns: int, limit: int, source: str = "", destination: str = ""
    ) -> list[dict[str, Any]]:
        found = service_graph(self._store, start_ns, end_ns, limit)
        return [
            edge._asdict()
            for edge in found
            if source in ("", edge.source) and destination in ("", edge.destination)
        ]

    def graph(self, start_ns: int, end_ns: int, limit: int) -> dict[str, Any]:
        """Edges, what each service received by them, and calls with an end that is not known."""
        edges = service_graph(self._store, start_ns, end_ns, limit)
        named = {found.name for found in services(self._store, start_ns, end_ns)}
        named |= {name for edge in edges for name in (edge.source, edge.destination)}
        received = {name: [edge for edge in edges if edge.destination == name] for name in named}
        ends = [(edge.source, edge.source_kind) for edge in edges]
        ends += [(edge.destination, edge.destination_kind) for edge in edges]
        kinds = {name: kind for name, kind in ends if kind}
        kinds |= {name: "service" for name, kind in ends if not kind}
        nodes = [
            {"name": name, "kind": kinds.get(name, "service"), **sums(received[name])}
            for name in sorted(named)
        ]
        unknown = [
            {**each._asdict(), "why": WHY[each.reason]}
            for each in unpaired(self._store, start_ns, end_ns)
        ]
        return {
            "nodes": nodes,
            "edges": [edge._asdict() for edge in edges],
            "unpaired": unknown,
        }

    def services(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        found = services(self._store, start_ns, end_ns)
        return [{**each._asdict(), "caution": caution(each.name)} for each in found]

    def operations(
        self, start_ns: int, end_ns: int, service: str, limit: int
    ) -> list[dict[str, Any]]:
        found = operations(self._store, start_ns, end_ns, service, limit)
        return [{**each._asdict(), "kind": named(KINDS, each.kind)} for each in found]

    def latency(self, start_ns: int, end_ns: int, source: str, destination: str) -> dict[str, Any]:
        """Only steps that had requests; `step_s` is how far steps are apart."""
        found = latency(self._store, start_ns, end_ns, source, destination)
        moments = [
            {**moment._asdict(), "start_s": rfc3339(moment.start_s * 1_000_000_000)}
            for moment in found.moments
        ]
        for moment in moments:
            moment["start"] = moment.pop("start_s")
            moment["counts"] = {str(bucket): count for bucket, count in moment["counts"].items()}
        return {"step_s": found.steps.step, "moments": moments}

    def traces(
        self,
        start_ns: int,
        end_ns: int,
        wanted: TraceSearch,
        limit: int,
        before: tuple[int, str] | None = None,
    ) -> dict[str, Any]:
        """One page; `next` is the place of the next one, None at the end."""
        page = traces(self._store, start_ns, end_ns, wanted, limit, before or NEWEST)
        listed = [
            {
                **{key: value for key, value in each._asdict().items() if key[-3:] != "_ns"},
                "start": rfc3339(each.start_ns),
                "duration_ns": each.duration_ns,
            }
            for each in page.traces
        ]
        last = page.traces[-1] if len(page.traces) == limit else None
        return {
            "traces": listed,
            "total": page.total,
            "total_is_exact": page.exact,
            "next": (last.at_ns, last.trace_id) if last else None,
        }

    def logs(
        self,
        start_ns: int,
        end_ns: int,
        wanted: LogSearch,
        limit: int,
        after: LogPlace | None = None,
    ) -> dict[str, Any]:
        """One page; `next` is the place of the next one, None at the end."""
        begin = after or NEWEST_LOG
        page = logs(self._store, start_ns, end_ns, wanted, limit, begin)
        listed = [
            {
                **record._asdict(),
                "time": rfc3339(record.at_ns),
                "time_ns": record.at_ns,
                "severity": severity_name(record.severity),
                "severity_number": record.severity,
                "attributes": dict(record.attributes),
                "resource": dict(record.resource),
            }
            for record in page.records
        ]
        return {
            "logs": listed,
            "total": page.total,
            "total_is_exact": page.exact,
            "next": place_after(page.records, begin) if len(listed) == limit else None,
        }

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """Empty when there is none."""
        return [
            {
                **span._asdict(),
                "kind": named(KINDS, span.kind),
                "status": named(STATUSES, span.status),
                "attributes": dict(span.attributes),
                "resource": dict(span.resource),
                "events": [
                    {**event._asdict(), "attributes": dict(event.attributes)}
                    for event in span.events
                ],
            }
            for span in trace(self._store, trace_id)
        ]


def sums(edges: Sequence[Edge]) -> dict[str, float]:
    return {
        "requests": sum(edge.requests for edge in edges),
        "errors": sum(edge.errors for edge in edges),
        "denied": sum(edge.denied for edge in edges),
    }


def severity_name(number: int) -> str:
    """Of OTLP's SeverityNumber; "" when none was told."""
    return SEVERITIES[min((number - 1) // 4, len(SEVERITIES) - 1)] if number else ""


def named(names: Sequence[str], number: int) -> str:
    """A number that the protocol does not name stays one."""
    return names[number] if 0 <= number < len(names) else str(number)
