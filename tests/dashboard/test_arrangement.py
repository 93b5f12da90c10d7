import json
import random

from dashboard.arrangement import LAYER_WIDTH, Arrangement, arrange

SHOP = [
    ("web", "frontend"),
    ("mobile", "frontend"),
    ("frontend", "cart"),
    ("frontend", "checkout"),
    ("checkout", "cart"),
    ("cart", "stock"),
]


def test_callers_stand_left_of_those_they_call():
    at = arrange(SHOP).positions
    assert all(at[source][0] < at[destination][0] for source, destination in SHOP)


def test_a_long_edge_has_a_way_around_those_between():
    found = arrange(SHOP)
    (between,) = found.routes["frontend", "cart"]
    x, y = found.positions["checkout"]
    assert between[0] == x
    assert abs(between[1] - y) > 50


def test_nobody_stands_on_another():
    dice = random.Random(5)
    links = {(f"s{dice.randrange(60)}", f"s{dice.randrange(60)}") for _ in range(150)}
    at = list(arrange(links).positions.values())
    for one in range(len(at)):
        for other in range(one):
            apart = abs(at[one][0] - at[other][0]), abs(at[one][1] - at[other][1])
            assert apart[0] >= LAYER_WIDTH or apart[1] > 60


def test_circles_and_calls_to_oneself_are_arranged():
    links = [("a", "b"), ("b", "c"), ("c", "a"), ("b", "b"), ("lonely", "lonely")]
    assert arrange(links).positions.keys() == {"a", "b", "c", "lonely"}


def test_the_same_graph_is_arranged_the_same():
    assert arrange(SHOP) == arrange(reversed(SHOP))


def test_who_is_known_stays_and_who_is_new_finds_a_free_place():
    known = arrange(SHOP)
    more = [*SHOP, ("frontend", "ads"), ("frontend", "news"), ("ads", "stock")]
    found = arrange(more, known)
    assert {name: found.positions[name] for name in known.positions} == known.positions
    assert len(set(found.positions.values())) == 8
    assert arrange(SHOP[:3], known) == known


def test_an_arrangement_outlives_json():
    known = arrange(SHOP)
    assert Arrangement.from_json(json.loads(json.dumps(known.to_json()))) == known
    assert arrange(SHOP, Arrangement.from_json(None)) == known
