"""Reading counters off /metrics, to say by how much a test moved them."""

from collections.abc import Callable

from prometheus_client import REGISTRY
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

Sample = tuple[str, tuple[tuple[str, str], ...]]


def samples(text: str) -> dict[Sample, float]:
    """By name and sorted labels; those of time left out."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def this_process() -> str:
    return generate_latest(REGISTRY).decode()


class Counters:
    """`moved("name", label="x")` is what was added since this was made."""

    def __init__(self, read: Callable[[], str] = this_process) -> None:
        self._read = read
        self._before = samples(read())

    def moved(self, name: str, **labels: str) -> float:
        """Over all label sets that have these labels."""
        after = samples(self._read())
        return sum(
            value - self._before.get((found, have), 0)
            for (found, have), value in after.items()
            if found == f"meshmeter_{name}_total" and labels.items() <= dict(have).items()
        )
