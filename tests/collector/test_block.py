"""Blocks written by us are stored as what the driver writes, by the engine itself."""

from collections.abc import Sequence

import pytest

from collector.decoders import decode_group
from collector.errors import StoreError
from collector.store.block import Block
from collector.store.client import Store
from collector.store.lost import missing, restore
from collector.store.tables import SpanRow
from tests.collector.reports import span, text
from tests.collector.test_decoders_columns import ODD, PLAIN, reports, several

COLUMNS = ", ".join([*SpanRow._fields, "_group"])
ALL = f"SELECT {COLUMNS} FROM {{}} ORDER BY span_id, time, name, toString(attributes)"
BY_THE_DRIVER = "CREATE TABLE by_the_driver AS spans"
# Of so many keys, names and long values that numbers and lengths of them take more bytes.
MANY = [
    span(
        span_id=number.to_bytes(8, "big"),
        name=f"name {number}",
        attributes=[text(f"key {number}", "v" * size), text("all", "v")],
    )
    for number, size in enumerate([*range(1, 400), *range(16_380, 16_390), 127, 128, 4096], 1)
]
GROUP = reports(
    several(PLAIN, *ODD.values()),
    several(*[PLAIN] * 3),
    several(*MANY),
    several(span(name="", attributes=[])),
)


def spans(reports, *, by_columns=True):
    return decode_group(reports, 7, by_columns=by_columns).tables["spans"]


def counted(store):
    return store.rows("SELECT count() FROM spans")[0][0]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bytes | None]:
    """What blocks made of themselves."""
    found: list[bytes | None] = []
    write = Block.native

    def noted(block: Block, types: Sequence[tuple[str, str]]) -> bytes | None:
        found.append(write(block, types))
        return found[-1]

    monkeypatch.setattr(Block, "native", noted)
    return found


@pytest.mark.parametrize("compression", [True, False])
def test_what_is_stored_is_what_the_driver_stores(
    store_url: str, compression: bool, written: list[bytes | None]
):
    with Store(store_url, compression=compression) as store:
        store.command(BY_THE_DRIVER)
        assert isinstance(spans(GROUP), Block)
        for _ in range(2):
            store.insert("spans", spans(GROUP), token="c:1:spans")
        store.insert("by_the_driver", spans(GROUP, by_columns=False), token="c:1:spans")
        stored = store.rows(ALL.format("spans"))
        assert len(stored) > len(MANY)
        assert stored == store.rows(ALL.format("by_the_driver"))
    assert len(written) == 2
    assert all(written)


def test_the_driver_writes_a_type_that_is_not_written_here(store, written: list[bytes | None]):
    store.command("ALTER TABLE spans MODIFY COLUMN http_status Nullable(UInt16)")
    store.insert("spans", spans(GROUP), token="c:1:spans")
    assert written == [None]
    assert counted(store) == len(spans(GROUP)["time"])


def test_a_connection_takes_other_inserts_after_a_block(store):
    for number in range(3):
        store.insert("spans", spans(GROUP), token=f"c:{number}:spans")
        store.insert("spans", spans(GROUP, by_columns=False), token=f"d:{number}:spans")
    assert counted(store) == 6 * len(spans(GROUP)["time"])


def test_rows_of_a_block_that_were_lost_are_put_back(store):
    block = spans(GROUP)
    assert missing(store, "spans", block) == dict(block)
    assert restore(store, "spans", block, 2) == len(block["time"])
    assert missing(store, "spans", block) == {}


def test_an_error_of_the_store_is_told_as_ever(store):
    store.command("ALTER TABLE spans ADD CONSTRAINT late CHECK time > toDateTime(4000000000)")
    with pytest.raises(StoreError) as told:
        store.insert("spans", spans(GROUP), token="c:1:spans")
    assert told.value.code == 469
    store.command("ALTER TABLE spans DROP CONSTRAINT late")
    store.insert("spans", spans(GROUP), token="c:1:spans")
    assert counted(store) == len(spans(GROUP)["time"])
