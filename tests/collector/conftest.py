from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.api import Api
from tests.collector.keeping import Keeping


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Keeping]:
    kept = Keeping(tmp_path / "outbox")
    yield kept
    kept.outbox.close()


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path)
