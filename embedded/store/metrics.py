"""What the store counts of itself."""

from prometheus_client import Counter, Gauge

CONNECTIONS = Gauge("meshmeter_store_connections", "Clients connected now")
CONNECTIONS_REFUSED = Counter(
    "meshmeter_store_connections_refused", "Clients turned away: too many, or not understood"
)
QUERIES = Counter("meshmeter_store_queries", "Statements other than inserts of sent rows")
INSERTS = Counter("meshmeter_store_inserts", "Inserts of sent rows, stored")
ROWS_INSERTED = Counter("meshmeter_store_rows_inserted", "Rows of those inserts")
EXCEPTIONS = Counter("meshmeter_store_exceptions", "Statements answered with an exception")
CANCELLED = Counter("meshmeter_store_cancelled", "Statements ended for a cancel or a hang-up")
