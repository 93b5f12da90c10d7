"""Values come back as they were sent, whatever their type and the compression."""

import datetime as dt
import uuid
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from clickhouse_driver import Client

from tests.embedded.conftest import Connect, outcome
from tests.embedded.daemon import StoreProcess

UTC = dt.UTC
NOON = dt.datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
LONG = "a long text, " * 40  # its length takes two bytes

VALUES: dict[str, list[Any]] = {
    "Int8": [-128, 0, 127],
    "UInt64": [0, 2**64 - 1],
    "Int256": [-(2**255), 2**255 - 1],
    "Float64": [0.0, 1.5e300],
    "Bool": [True, False],
    "String": ["", "x", LONG, "é漢"],
    "FixedString(16)": ["0123456789abcdef"],
    "Date": [dt.date(2026, 11, 23)],
    "DateTime": [NOON.replace(microsecond=0, tzinfo=None)],
    "DateTime64(6, 'UTC')": [NOON],
    "UUID": [uuid.UUID(int=5), uuid.UUID(int=2**128 - 1)],
    "IPv4": [IPv4Address("10.0.0.1")],
    "IPv6": [IPv6Address("::1")],
    "Decimal(18, 4)": [Decimal("-12.3456")],
    "Decimal(38, 2)": [Decimal("12345678901234567890.12")],
    "Enum8('source' = 1, 'it''s, (odd)' = 2)": ["source", "it's, (odd)"],
    "Nullable(String)": [None, "", LONG],
    "LowCardinality(String)": ["a", "b", "a", LONG],
    "LowCardinality(Nullable(String))": [None, "a", None],
    "LowCardinality(FixedString(2))": ["ab", "cd"],
    "Array(String)": [[], ["a"], ["b", LONG]],
    "Array(Array(LowCardinality(String)))": [[], [["a"], []], [["b", "a"]]],
    "Array(Nullable(DateTime64(6, 'UTC')))": [[None, NOON], []],
    "Map(String, UInt64)": [{}, {"a": 1, LONG: 2}],
    "Map(LowCardinality(String), String)": [{"k": "v"}, {}, {"k": "w", "l": ""}],
    "Tuple(UInt8, String)": [(1, "a"), (2, LONG)],
    "Tuple(n UInt8, `odd name` LowCardinality(String))": [(1, "a"), (2, "b")],
    "Array(Tuple(time DateTime64(6, 'UTC'), name String, attributes Map(String, String)))": [
        [],
        [(NOON, "exception", {"type": "E"}), (NOON, "retry", {})],
    ],
    "SimpleAggregateFunction(sum, Float64)": [1.0, 2.0],
    "SimpleAggregateFunction(sumMap, Map(UInt8, UInt64))": [{1: 2, 200: 3}, {}],
}


@pytest.mark.parametrize("compression", [False, "lz4"])
@pytest.mark.parametrize("type_", VALUES)
def test_values_come_back(
    store: StoreProcess, connect: Connect, type_: str, compression: str | bool
) -> None:
    client = connect(store, compression=compression)
    values = VALUES[type_]
    client.execute(f"CREATE TEMPORARY TABLE sent (place UInt32, value {type_})")
    client.execute("INSERT INTO sent VALUES", list(enumerate(values)))
    rows, columns = client.execute("SELECT * FROM sent ORDER BY place", with_column_types=True)
    assert [row[1] for row in rows] == values
    assert [name for name, _type in columns] == ["place", "value"]


@pytest.mark.parametrize("compression", [False, "lz4"])
def test_seventy_thousand_rows_come_back(
    store: StoreProcess, connect: Connect, compression: str | bool
) -> None:
    client = connect(store, compression=compression)
    client.execute(
        "CREATE TEMPORARY TABLE sent (n UInt64, text String, kind LowCardinality(String),"
        " attributes Map(LowCardinality(String), String), spare Nullable(Float64),"
        " id FixedString(8), events Array(Tuple(UInt32, String)))"
    )
    rows = [
        (
            n,
            "x" * (n % 300),
            f"kind {n % 40}",
            {"n": str(n)},
            None,
            b"12345678",
            [(n, "e")] * (n % 3),
        )
        for n in range(70_000)
    ]
    strings = {"strings_as_bytes": False}
    assert client.execute("INSERT INTO sent VALUES", rows, settings=strings) == 70_000
    assert client.execute(
        "SELECT count(), sum(n), sum(length(text)), uniqExact(kind), countIf(attributes['n'] ="
        " toString(n)), countIf(spare IS NULL), countIf(id = '12345678'), sum(length(events))"
        " FROM sent"
    ) == [
        (
            70_000,
            sum(range(70_000)),
            sum(n % 300 for n in range(70_000)),
            40,
            70_000,
            70_000,
            70_000,
            sum(n % 3 for n in range(70_000)),
        )
    ]


def test_a_type_that_cannot_be_carried_is_refused_and_the_connection_stays(client: Client) -> None:
    client.execute("CREATE TEMPORARY TABLE here (a UInt8)")
    assert outcome(client, "SELECT sumState(toUInt8(1))") == 48
    assert client.execute("SELECT count() FROM here") == [(0,)]
