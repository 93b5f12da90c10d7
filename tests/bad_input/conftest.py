from collections.abc import Iterator

import pytest

from tests.bad_input.live import LiveCollector


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCollector]:
    live = LiveCollector(tmp_path_factory.mktemp("collector"))
    yield live
    live.kill()


@pytest.fixture(autouse=True)
def what_comes_next_is_taken(collector: LiveCollector) -> Iterator[None]:
    """Whatever a test sends, the process lives and a good request right after it is stored."""
    before = collector.counters()
    yield
    sent = len(collector.good)
    collector.send_good()
    assert before.moved("reports", signal="otlp-traces") >= len(collector.good) - sent
