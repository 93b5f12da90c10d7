"""The names rows are told apart by: found in a group, and replaced where there are too many.

A graph of ten thousand services, or a service of a million operations, helps nobody. What is over
the budget is stored as `__other__`, and counts there; the name it had is kept beside.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from prometheus_client import Counter

from collector.decoders.decoded import Collected
from collector.model import Names
from collector.store.tables import TABLES, LogRow, MetricPointRow, RequestRow, Row, SpanRow

OTHER = "__other__"
SERVICE_WAS, NAME_WAS = "meshmeter.service", "meshmeter.name"
SOURCE_WAS, DESTINATION_WAS = "meshmeter.source", "meshmeter.destination"

RENAMED = Counter("meshmeter_rows_renamed", "rows stored under __other__", ["table"])

Over = Callable[[Names], Names]  # of a group's names those without a place


class Part(NamedTuple):
    """The rows of one report; of spans that are columns already, service and name of each."""

    identity: str
    out: Collected
    first: int
    end: int
    named: Sequence[tuple[str, str]] = ()

    @property
    def rows(self) -> Sequence[Row]:
        return self.out.rows[self.first : self.end]


def names_of(parts: Sequence[Part]) -> Names:
    """Services by who sent them, and operations by service, in the order they came."""
    services: dict[str, dict[str, None]] = {}
    operations: dict[str, dict[str, None]] = {}
    for part in parts:
        sent = services.setdefault(part.identity, {})
        for service, name in part.named:
            sent[service] = None
            operations.setdefault(service, {})[name] = None
        for row in part.rows:
            if type(row) is SpanRow:
                if row.service not in sent:
                    sent[row.service] = None
                operations.setdefault(row.service, {})[row.name] = None
            elif type(row) is RequestRow:
                sent[row.source] = sent[row.destination] = None
            elif type(row) is LogRow or type(row) is MetricPointRow:
                sent[row.service] = None
    return {
        "service": {sender: list(names) for sender, names in services.items() if names},
        "operation": {service: list(names) for service, names in operations.items()},
    }


def rename(parts: Sequence[Part], over: Names) -> None:
    """In place. Rows stay as many as they are."""
    operations = {service: set(names) for service, names in over["operation"].items()}
    services = {sender: set(names) for sender, names in over["service"].items()}
    for part in parts:
        nameless = services.get(part.identity, set())
        for number in range(part.first, part.end):
            row = part.out.rows[number]
            named = renamed(row, nameless, operations)
            if named is not row:
                part.out.rows[number] = named
                RENAMED.labels(TABLES[type(row)]).inc()


def renamed(row: Row, services: set[str], operations: dict[str, set[str]]) -> Row:
    """Itself when all its names have a place."""
    if isinstance(row, SpanRow):
        if row.service in services:
            was = row.attributes | {SERVICE_WAS: row.service, NAME_WAS: row.name}
            return row._replace(service=OTHER, name=OTHER, attributes=was)
        if row.name in operations.get(row.service, ()):
            return row._replace(name=OTHER, attributes=row.attributes | {NAME_WAS: row.name})
        return row
    if isinstance(row, RequestRow):
        if row.source in services:
            row = row._replace(source=OTHER, tags=row.tags | {SOURCE_WAS: row.source})
        if row.destination in services:
            was = row.tags | {DESTINATION_WAS: row.destination}
            row = row._replace(destination=OTHER, tags=was)
        return row
    if isinstance(row, LogRow | MetricPointRow) and row.service in services:
        # Not among a point's attributes: they say which series it is of.
        return row._replace(service=OTHER, resource=row.resource | {SERVICE_WAS: row.service})
    return row
