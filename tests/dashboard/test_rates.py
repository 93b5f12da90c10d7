import time

import pytest

from collector.settings import Settings
from dashboard.context import Context
from dashboard.pages.service_graph import ask
from dashboard.view import View
from tests.collector.stored_rows import SECOND, insert, request


@pytest.fixture
def now_ns() -> int:
    return time.time_ns() // SECOND * SECOND


def seconds(store, now_ns, window):
    return ask(Context(Settings(), store, lambda: now_ns), View(window=window)).seconds


def test_a_mesh_just_connected_has_the_rate_of_its_first_seconds(store, now_ns):
    insert(store, "requests", [request(now_ns - ago * SECOND, "a", "b") for ago in (1, 10, 20)])
    assert seconds(store, now_ns, "15m") == seconds(store, now_ns, "24h") == 20
    assert seconds(store, now_ns - 20 * SECOND, "5m") == 1


def test_the_rate_of_a_mesh_that_fell_silent_is_of_the_whole_window(store, now_ns):
    insert(store, "requests", [request(now_ns - ago * SECOND, "a", "b") for ago in (1, 400)])
    assert seconds(store, now_ns, "5m") == 300
