"""What ClickHouse holds of a demo."""

from dataclasses import astuple, dataclass

from collector.store.client import Store

# An access log's id is the request's, the same at every hop that hands x-request-id on: node and
# span tell apart the records of one request.
SQL = """
SELECT
    (SELECT count() FROM requests WHERE reporter = 'destination') AS requests,
    (SELECT count() FROM decisions WHERE NOT allowed) AS denied,
    (SELECT count() FROM spans) AS spans,
    (SELECT count() - uniqExact(log_id, reporter, node, span_id) FROM requests)
        + (SELECT count() - uniqExact(trace_id, span_id) FROM spans) AS duplicates,
    (SELECT count() FROM dead_letters) AS dead_letters
"""


@dataclass(frozen=True)
class Stored:
    """Rows: requests as their destinations told, denials, spans, what is there twice, refused."""

    requests: int = 0
    denied: int = 0
    spans: int = 0
    duplicates: int = 0
    dead_letters: int = 0

    def __sub__(self, earlier: "Stored") -> "Stored":
        pairs = zip(astuple(self), astuple(earlier), strict=True)
        return Stored(*(now - then for now, then in pairs))


def stored(store: Store) -> Stored:
    """Raises StoreDown."""
    (row,) = store.rows(SQL)
    return Stored(*map(int, row))
