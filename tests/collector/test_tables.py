"""The rows the worker writes have the columns the tables have."""

from pathlib import Path

import pytest

from collector.decoders.limits import Reason
from collector.store.client import Store
from collector.store.tables import TABLES, DeadLetterRow, columns

COLUMNS = """
SELECT name
FROM system.columns
WHERE database = currentDatabase() AND table = %(table)s AND default_kind != 'ALIAS'
ORDER BY position
"""


@pytest.mark.parametrize(("row", "table"), TABLES.items(), ids=TABLES.values())
def test_a_row_has_the_columns_of_its_table_in_their_order(store_url, row, table):
    with Store(store_url) as store:
        names = [name for (name,) in store.rows(COLUMNS, {"table": table})]
    assert names == [*row._fields, "_group"]


def test_rows_become_columns_with_their_group():
    first = DeadLetterRow(1, "als", "no_time", "d", "a", b"1")
    found = columns([first, first._replace(time=2, item=b"2")], 7)
    assert found["time"] == [1, 2]
    assert found["item"] == [b"1", b"2"]
    assert found["_group"] == [7, 7]
    assert {len(values) for values in found.values()} == {2}


@pytest.mark.parametrize("word", [*TABLES.values(), *Reason])
def test_the_storage_page_names_every_table_and_every_reason(word):
    page = Path("docs/storage.md").read_text()
    assert f"| `{word}` |" in page
