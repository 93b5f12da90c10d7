from collections.abc import Iterator

import pytest

from tests.bad_input.live import LiveCollector


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[LiveCollector]:
    live = LiveCollector(tmp_path_factory.mktemp("collector"), redis_url)
    yield live
    live.kill()


@pytest.fixture(autouse=True)
def what_comes_next_is_taken(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test sends, the process lives and a good request right after it is stored."""
    yield
    if "collector" in request.fixturenames:
        collector: LiveCollector = request.getfixturevalue("collector")
        counters = collector.counters()
        collector.send_good()
        assert counters.moved("reports", signal="otlp-traces") == 2
