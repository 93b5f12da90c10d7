"""Lists that rules name, kept fresh: their own entries, or what a URL or a file holds."""

from collector.lists.keeper import ListKeeper, Prepared
from collector.lists.kept import ListStatus
from collector.lists.metrics import ListMetrics
from collector.lists.places import Places

__all__ = ["ListKeeper", "ListMetrics", "ListStatus", "Places", "Prepared"]
