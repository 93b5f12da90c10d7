"""The ClickHouse client against the real engine: once per token, and clear about what failed."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from collector.errors import InvalidSetting, StoreDown, StoreError
from collector.store.client import Store
from migrations.clickhouse import migrate_clickhouse
from tests.collector.reports import NOW_NS
from tests.embedded.daemon import running_store

REQUESTS = {
    "time": [NOW_NS, NOW_NS + 1],
    "source": ["a", "a"],
    "destination": ["b", "b"],
    "reporter": ["source", "source"],
    "duration_ns": [5_000_000, 7_000_000],
    "trace_id": [b"\x01" * 16, b"\xff" * 16],
    "tags": [{"key": "ü"}, {}],
}


def stored(store):
    return store.rows("SELECT count() FROM requests")[0][0]


def rolled_up(store, table):
    return store.rows(f"SELECT sum(requests) FROM {table}")[0][0]


def test_rows_of_one_token_are_stored_once_in_the_table_and_every_rollup(store):
    for _ in range(3):
        store.insert("requests", REQUESTS, token="c:1:requests")
    assert stored(store) == 2
    assert [rolled_up(store, name) for name in ("edges_1s", "edges_1m", "edges_1h")] == [2, 2, 2]


def test_the_same_rows_under_another_token_are_more_rows(store):
    store.insert("requests", REQUESTS, token="c:1:requests")
    store.insert("requests", REQUESTS, token="c:2:requests")
    assert stored(store) == rolled_up(store, "edges_1h") == 4


def test_what_is_stored_comes_back(store):
    store.insert("requests", REQUESTS, token="c:1:requests")
    rows = store.rows(
        "SELECT toUnixTimestamp64Nano(time), hex(trace_id), tags FROM requests ORDER BY time"
    )
    assert rows == [(NOW_NS, "01" * 16, {"key": "ü"}), (NOW_NS + 1, "FF" * 16, {})]


def test_no_rows_are_no_insert(store):
    store.insert("requests", {"time": []}, token="c:1:requests")
    store.insert("requests", {}, token="c:1:requests")
    assert stored(store) == 0


def test_columns_of_different_lengths_are_a_bug_and_store_nothing(store):
    with pytest.raises(ValueError, match="rows"):
        store.insert("requests", REQUESTS | {"source": ["a"]}, token="c:1:requests")
    assert stored(store) == 0


def test_parameters_are_values_never_sql(store):
    said = "'); DROP TABLE requests; -- %s"
    assert store.rows("SELECT %(said)s, 1 + %(n)s", {"said": said, "n": 1}) == [(said, 2)]


def test_a_question_cannot_write(store):
    with pytest.raises(StoreError, match=r"(?i)readonly"):
        store.rows("DROP TABLE requests")
    assert stored(store) == 0


def test_a_writer_can_still_write_after_a_question(store):
    store.rows("SELECT 1")
    store.command("CREATE TABLE other (a UInt8) ENGINE = MergeTree ORDER BY a")
    store.insert("other", {"a": [1, 2]}, token="t")
    assert store.rows("SELECT sum(a) FROM other") == [(3,)]


def test_a_question_that_takes_too_long_is_stopped_with_its_code(store):
    endless = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"
    with pytest.raises(StoreError) as caught:
        store.rows(endless, timeout_s=1)
    assert caught.value.code == 159


def test_a_refusal_carries_clickhouses_code_and_no_stack_trace(store):
    with pytest.raises(StoreError) as caught:
        store.rows("SELECT nothing_like_it")
    assert caught.value.code == 47
    assert "nothing_like_it" in str(caught.value)
    assert "Stack trace" not in str(caught.value)


def test_a_connection_is_good_after_a_refusal(store):
    with pytest.raises(StoreError):
        store.insert("requests", {"nonsense": [1]}, token="t")
    store.insert("requests", REQUESTS, token="t")
    assert stored(store) == 2


def test_values_of_the_wrong_type_are_refused_and_store_nothing(store):
    with pytest.raises(StoreError):
        store.insert("requests", REQUESTS | {"duration_ns": ["slow", "fast"]}, token="t")
    store.insert("requests", REQUESTS, token="t")
    assert stored(store) == 2


def test_a_table_that_cannot_take_more_now_is_store_down(store):
    store.command(
        "CREATE TABLE full (a UInt8) ENGINE = MergeTree ORDER BY a "
        "SETTINGS parts_to_delay_insert = 1, parts_to_throw_insert = 1"
    )
    store.insert("full", {"a": [1]}, token="1")
    with pytest.raises(StoreDown, match="TOO_MANY_PARTS"):
        store.insert("full", {"a": [2]}, token="2")


@pytest.mark.parametrize("compression", [True, False])
def test_threads_share_a_store(store_url, compression):
    with Store(store_url, compression=compression) as store, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.insert("requests", REQUESTS, token=f"t{n}"), range(24)))
        answers = list(pool.map(lambda n: store.rows(f"SELECT {n}"), range(24)))
        assert stored(store) == 48
    assert answers == [[(n,)] for n in range(24)]


def test_nothing_listening_is_store_down():
    with pytest.raises(StoreDown, match=r"127\.0\.0\.1:1"):
        Store("clickhouse://user:secret@127.0.0.1:1/meshmeter").ping()


def test_the_password_is_in_no_error():
    with pytest.raises(StoreDown) as caught:
        Store("clickhouse://user:secret@127.0.0.1:1/meshmeter").ping()
    assert "secret" not in str(caught.value)


def test_a_server_that_never_answers_is_store_down():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = Store(f"clickhouse://127.0.0.1:{silent.getsockname()[1]}/meshmeter")
        with pytest.raises(StoreDown):
            store.rows("SELECT 1", timeout_s=0.1)


def test_a_peer_that_hangs_up_is_store_down():
    with socket.create_server(("127.0.0.1", 0)) as rude:
        hanging_up = threading.Thread(target=lambda: rude.accept()[0].close())
        hanging_up.start()
        with pytest.raises(StoreDown):
            Store(f"clickhouse://127.0.0.1:{rude.getsockname()[1]}/meshmeter").ping()
        hanging_up.join()


def test_a_killed_store_is_down_and_then_there_again_with_the_rows_once(tmp_path):
    with running_store(tmp_path / "store") as daemon:
        url = f"{daemon.url.rpartition('/')[0]}/meshmeter"
        migrate_clickhouse(url)
        with Store(url) as store:
            store.insert("requests", REQUESTS, token="t")
            daemon.kill()
            with pytest.raises(StoreDown):
                store.insert("requests", REQUESTS, token="t")
            with pytest.raises(StoreDown):
                store.ping()
            daemon.start()
            store.insert("requests", REQUESTS, token="t")
            assert stored(store) == rolled_up(store, "edges_1m") == 2


@pytest.mark.parametrize(
    "url",
    [
        "clickhouse://127.0.0.1:9000",
        "clickhouse:///meshmeter",
        "clickhouse://127.0.0.1:port/meshmeter",
        "http://127.0.0.1:9000/meshmeter",
        "",
    ],
)
def test_a_url_that_is_none_is_an_invalid_setting(url):
    with pytest.raises(InvalidSetting, match="clickhouse://host:port/database"):
        Store(url)
