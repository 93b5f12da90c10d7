import pytest

from dashboard.numbers import count, duration, per_minute, rate, rounded, share, shortened


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.034, "0.034"), (0.5, "0.5"), (5, "5"), (7.08, "7.1"), (42.4, "42"),
     (9999, "9999"), (12_345, "12k"), (2_500_000, "2.5M"), (3_000_000_000, "3G")],
)  # fmt: skip
def test_numbers_are_short(value, text):
    assert rounded(value) == text


def test_slow_rates_are_per_minute():
    assert rate(120, 60) == "2/s"
    assert rate(42, 60) == "42/min"
    assert rate(0, 60) == "0/s"
    assert per_minute(7, 120) == "3.5/min"


def test_a_small_share_is_not_none():
    assert share(0, 10) == share(1, 0) == "0 %"
    assert share(1, 10_000) == "< 0.1 %"
    assert (share(1, 40), share(1, 4)) == ("2.5 %", "25 %")


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0.25, "250 µs"), (5.04, "5.0 ms"), (9.97, "10.0 ms"), (38.2, "38 ms"), (1500, "1.5 s"),
     (75_000, "75 s"), (float("nan"), "–")],
)  # fmt: skip
def test_durations_have_their_unit(milliseconds, text):
    assert duration(milliseconds) == text


def test_long_names_end_in_dots_and_counts_have_groups():
    assert shortened("recommendations", 6) == "recom…"
    assert count(1_234_567.4) == "1\u202f234\u202f567"
