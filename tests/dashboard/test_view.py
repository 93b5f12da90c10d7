import pytest

from dashboard.view import SECOND_NS, View

NOW_NS = 1_700_000_000 * SECOND_NS


def test_no_query_is_the_last_quarter_of_an_hour():
    assert View.of(None).bounds(NOW_NS) == (NOW_NS - 900 * SECOND_NS, NOW_NS)


def test_a_query_read_and_written_is_the_same():
    view = View(window="6h", refresh="off", source="a&b=c", destination="<ü>")
    assert View.of(view.search()) == view


def test_what_is_usual_is_not_written():
    assert View().search() == ""
    assert View(source="a", destination="b").unchosen() == ""


@pytest.mark.parametrize(
    "search",
    [
        "?window=9y",
        "?refresh=1ms",
        "?start=x&end=y",
        "?start=9&end=3",
        "?start=5",
        "?no=thing",
        "?=",
        "%",
    ],
)
def test_what_it_does_not_know_it_leaves_out(search):
    assert View.of(search) == View()


@pytest.mark.parametrize("start", ["inf", "nan", "-5", "1e300", "9999-12-31T23:59:59-23:59"])
def test_a_time_outside_of_all_calendars_is_no_time(start):
    assert View.of(f"?start={start}&end=1700000000") == View()


def test_ends_are_seconds_or_iso_times_of_utc_unless_they_say():
    wanted = 1_699_999_200 * SECOND_NS, NOW_NS
    for start in ("1699999200", "2023-11-14T22:00:00", "2023-11-14T23:00:00%2B01:00"):
        assert View.of(f"?start={start}&end=1700000000").bounds(0) == wanted
