"""What is read out of a statement's text."""

import pytest

from embedded.store.sql import Insert, keyword, parse_insert, without_format


@pytest.mark.parametrize(
    ("sql", "insert"),
    [
        ("INSERT INTO t VALUES", Insert("t", "", "SELECT * FROM t")),
        ("insert into table d.t format Native ;", Insert("d.t", "", "SELECT * FROM d.t")),
        (
            'INSERT INTO `values`."format" (`a)`, b) VALUES',
            Insert('`values`."format" (`a)`, b)', "", 'SELECT `a)`, b FROM `values`."format"'),
        ),
        (
            "INSERT INTO t (a) SETTINGS x = 'VALUES', y = 2 VALUES;",
            Insert("t (a)", "SETTINGS x = 'VALUES', y = 2", "SELECT a FROM t"),
        ),
        (
            "INSERT INTO FUNCTION null('a UInt8') (a) FORMAT Values",
            Insert("FUNCTION null('a UInt8') (a)", "", "SELECT a FROM null('a UInt8')"),
        ),
    ],
)
def test_an_insert_of_sent_rows_is_taken_apart(sql: str, insert: Insert) -> None:
    assert parse_insert(sql) == insert


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "INSERT",
        "INSERT INTO t",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t FORMAT TabSeparated 1",
        "INSERT INTO t SELECT 1 FORMAT Native",
        "INSERT INTO t (a) WITH 1 AS one SELECT one",
        "SELECT 'INSERT INTO t VALUES'",
        "-- INSERT INTO t VALUES",
    ],
)
def test_other_statements_are_no_inserts_of_sent_rows(sql: str) -> None:
    assert parse_insert(sql) is None


def test_the_first_word_is_behind_comments_and_brackets() -> None:
    assert keyword("/* a */ -- b\n ( ( select 1") == "SELECT"
    assert keyword(" ") == ""


@pytest.mark.parametrize(
    ("sql", "rest"),
    [
        ("SELECT 1 FORMAT JSON", "SELECT 1"),
        ("SELECT 1\nformat Native ; ", "SELECT 1"),
        ("SELECT format FROM t", "SELECT format FROM t"),
        ("SELECT 'a FORMAT b'", "SELECT 'a FORMAT b'"),
    ],
)
def test_a_closing_format_is_left_out(sql: str, rest: str) -> None:
    assert without_format(sql) == rest
