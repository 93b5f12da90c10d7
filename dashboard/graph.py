"""The service graph as a model: which services and edges are shown, with what is known of each."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collector.store.queries.denials_by_rule import Denials
from collector.store.queries.service_graph import Edge
from collector.store.queries.unpaired import Unpaired

MOST_SERVICES = 60  # more than that nobody reads
NAN = float("nan")


@dataclass(frozen=True)
class Service:
    """What it received and what it sent. `sidecar`: one at its side reported calls to it."""

    name: str
    received: float = 0
    errors: float = 0
    denied: float = 0
    sent: float = 0
    sidecar: bool = False
    virtual: str = ""  # database, queue or host, when only others name it

    @property
    def kind(self) -> str:
        """ "unknown", "caller" when nobody calls it, "outside" when no sidecar told, "service".

        Or what it is when no span of its own came: "database", "queue", "host".
        """
        if self.virtual:
            return self.virtual
        if self.name == "unknown":
            return "unknown"
        if not self.received:
            return "caller"
        return "service" if self.sidecar else "outside"


@dataclass(frozen=True)
class Graph:
    """`denials` by edge, most first. `hidden`: services left out because there are too many."""

    services: Mapping[str, Service]
    edges: Sequence[Edge]
    denials: Mapping[tuple[str, str], list[Denials]]
    seconds: float
    hidden: int = 0
    unpaired: Sequence[Unpaired] = ()
    by_link: Mapping[tuple[str, str], Edge] = field(default_factory=dict)

    def edge(self, source: str, destination: str) -> Edge | None:
        return self.by_link.get((source, destination))

    @property
    def links(self) -> list[tuple[str, str]]:
        return [(edge.source, edge.destination) for edge in self.edges]


def graph(
    edges: Iterable[Edge],
    denials: Iterable[Denials],
    seconds: float,
    most: int = MOST_SERVICES,
    chosen: Iterable[str] = (),
    unpaired: Sequence[Unpaired] = (),
) -> Graph:
    """At most `most` services: those chosen, then those with most requests and most trouble.

    An edge that only decisions tell of is shown with no requests.
    """
    by_edge: dict[tuple[str, str], list[Denials]] = defaultdict(list)
    for denial in denials:
        by_edge[denial.source, denial.destination].append(denial)
    told = {(edge.source, edge.destination): edge for edge in edges}
    for link in by_edge:
        told.setdefault(link, Edge(*link, "decisions", 0, 0, 0, NAN, NAN, NAN))
    services = totals(told.values())
    shown = set(services)
    if len(services) > most:
        wanted = set(chosen)
        ranked = sorted(services.values(), key=lambda one: (one.name not in wanted, -weight(one)))
        shown = {service.name for service in ranked[:most]}
    kept = {link: edge for link, edge in told.items() if shown.issuperset(link)}
    return Graph(
        {name: service for name, service in services.items() if name in shown},
        list(kept.values()),
        {link: found for link, found in by_edge.items() if link in kept},
        seconds,
        len(services) - len(shown),
        unpaired,
        kept,
    )


def virtual(kinds: list[str]) -> str:
    """Empty if any edge knows the service itself."""
    return min(kinds) and kinds[0]


def weight(service: Service) -> float:
    """Requests, with trouble counted tenfold."""
    return service.received + service.sent + 10 * (service.errors + service.denied)


def totals(edges: Iterable[Edge]) -> dict[str, Service]:
    received: dict[str, list[Edge]] = defaultdict(list)
    sent: dict[str, list[Edge]] = defaultdict(list)
    for edge in edges:
        received[edge.destination].append(edge)
        sent[edge.source].append(edge)
    return {
        name: Service(
            name,
            sum(edge.requests for edge in received[name]),
            sum(edge.errors for edge in received[name]),
            sum(edge.denied for edge in received[name]),
            sum(edge.requests for edge in sent[name]),
            any(edge.reporter == "destination" for edge in received[name]),
            virtual(
                [edge.destination_kind for edge in received[name]]
                + [edge.source_kind for edge in sent[name]]
            ),
        )
        for name in sorted(received.keys() | sent.keys())
    }
