from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bad_input.live import LiveCollector
from tests.collector.api import Api
from tests.collector.keeping import Keeping
from tests.conftest import ValkeyProcess


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Keeping]:
    kept = Keeping(tmp_path / "outbox")
    yield kept
    kept.outbox.close()


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path)


@pytest.fixture
def pair(tmp_path: Path, valkey: ValkeyProcess) -> Iterator[list[LiveCollector]]:
    """Two collectors of one rules database and one Valkey."""
    rules = f"sqlite:///{tmp_path}/rules.sqlite"
    started: list[LiveCollector] = []
    try:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            started.append(LiveCollector(tmp_path / name, valkey.url, rules))
        yield started
    finally:
        for collector in started:
            collector.kill()
