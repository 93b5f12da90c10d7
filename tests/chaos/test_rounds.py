"""What is wrong with the answers to checks is seen, and nothing is said of what may be."""

from chaos.rounds import Answer, Round

COUNTED = Answer(allowed=True, granted=3, by_counters=True)
REFUSED = Answer(allowed=False, granted=0, by_counters=True)
ALONE = Answer(allowed=True, granted=3, by_counters=False)
REFUSED_ALONE = Answer(allowed=False, granted=0, by_counters=False)


def said(kept: Round, *answers: Answer) -> list[str]:
    return [text for answer in answers if (text := kept.answered(3, answer))]


def test_what_fits_is_granted_and_then_refused():
    assert said(Round(6, held=0), COUNTED, COUNTED, REFUSED) == []


def test_more_than_the_limit_is_said():
    assert said(Round(6, held=0), COUNTED, COUNTED, COUNTED) == [
        "the counters granted 9 of 6, 1 times"
    ]
    assert said(Round(6, held=0), ALONE, ALONE, ALONE) == [
        "a collector alone granted 9 of 6, 1 times"
    ]


def test_counters_that_forgot_may_grant_the_limit_again_and_so_may_a_new_collector():
    assert said(Round(6, held=0, losses=1), *[COUNTED] * 4) == []
    assert len(said(Round(6, held=0, losses=1), *[COUNTED] * 5)) == 1
    assert said(Round(6, held=0, deaths=1), *[ALONE] * 4) == []
    assert len(said(Round(6, held=0, deaths=1), *[ALONE] * 5)) == 1


def test_a_refusal_with_room_left_is_said():
    assert said(Round(6, held=0), COUNTED, REFUSED) == [
        "3 are refused by the counters with 3 of 6 used at most"
    ]


def test_what_was_perhaps_counted_or_is_held_may_be_what_was_missing():
    kept = Round(6, held=0)
    kept.unanswered(1)
    assert said(kept, COUNTED, REFUSED) == []
    assert said(Round(6, held=0), COUNTED, ALONE, REFUSED) == []
    assert said(Round(6, held=0), COUNTED, REFUSED_ALONE, REFUSED) == []
    assert said(Round(6, held=1), COUNTED, REFUSED) == []


def test_the_same_id_is_granted_the_same():
    assert Round.again(COUNTED, COUNTED) == ""
    assert Round.again(COUNTED, REFUSED) == ("an id that was granted 3 is granted 0 the next time")
