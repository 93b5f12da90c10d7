from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policy.attributes import VOCABULARY, AttributeBag, ValueType, bag_from_json, duration, text_of
from policy.errors import InvalidAttribute


def test_the_vocabulary_has_istios_names_and_ours() -> None:
    assert VOCABULARY["destination.service"] is ValueType.STRING
    assert VOCABULARY["source.ip"] is ValueType.IP_ADDRESS
    assert VOCABULARY["request.headers"] is ValueType.STRING_MAP
    assert VOCABULARY["ratelimit.domain"] is ValueType.STRING
    assert VOCABULARY["ratelimit.descriptor"] is ValueType.STRING_MAP
    assert VOCABULARY["ratelimit.keys"] is ValueType.STRING
    assert VOCABULARY["ratelimit.values"] is ValueType.STRING_MAP


def test_a_bag_is_read_by_name() -> None:
    bag = AttributeBag({"source.service": "a", "destination.port": 80})
    assert bag.get("source.service") == "a"
    assert bag.get("source.user") is None
    assert "destination.port" in bag
    assert bag.text("destination.port") == ""
    assert list(bag.names()) == ["source.service", "destination.port"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1h30m", timedelta(minutes=90)),
        ("0.5s", timedelta(milliseconds=500)),
        ("-2us", timedelta(microseconds=-2)),
        ("0", timedelta()),
        ("5", None),
        ("s", None),
        ("", None),
        ("1 s", None),
    ],
)
def test_durations_are_written_as_in_go(text: str, expected: timedelta | None) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("source.service", "a", "a"),
        ("destination.port", 80, "80"),
        ("connection.mtls", True, "true"),
        ("source.ip", "10.1.2.3", "10.1.2.3"),
        ("source.ip", "::ffff:10.1.2.3", "10.1.2.3"),
        ("response.duration", "1.5s", "1.5s"),
        ("request.headers", {"b": "2", "a": "1"}, "a=1;b=2"),
        (
            "request.time",
            "2026-01-02T03:04:05Z",
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).isoformat(),
        ),
    ],
)
def test_a_value_comes_from_json_and_is_written_as_text(name: str, value: Any, text: str) -> None:
    found = bag_from_json({name: value}).get(name)
    assert found is not None
    assert text_of(found) == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("no.such", "a"),
        ("source.service", 1),
        ("destination.port", "80"),
        ("destination.port", True),
        ("destination.port", 2**63),
        ("connection.mtls", "true"),
        ("source.ip", "10.1.2"),
        ("request.headers", {"a": 1}),
        ("request.time", "yesterday"),
        ("response.duration", "5"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidAttribute) as refusal:
        bag_from_json({name: value})
    assert refusal.value.name == name
