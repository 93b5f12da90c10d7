"""Rules that cannot match are not tried, and that changes nothing else."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.expression import compile_match
from policy.index import MOST_KEPT, MOST_LOOKUPS, Index, lookups_of
from policy.quota.memory import MemoryCounters
from policy.results import Decision
from policy.rules import rule_from_json
from policy.snapshot import Snapshot, compile_snapshot
from policy.stages import Compiled
from tests.policy.expressions import BAGS, ENTRIES, MATCHES, STRINGS, TEXTS

equalities = st.builds(
    lambda left, right, turned: f"{right} == {left}" if turned else f"{left} == {right}",
    st.sampled_from([*STRINGS, *(f'request.headers["{entry}"]' for entry in ENTRIES)]),
    st.sampled_from([f'"{text}"' for text in TEXTS]),
    st.booleans(),
)
conjunctions = st.lists(st.one_of(equalities, equalities, MATCHES), min_size=1, max_size=4).map(
    " && ".join
)
of_any_type = st.sampled_from([None, 1, b"a", "a", [], {"x": 1}, {1: "a"}, {"x": "a", "y": ""}])
strange = st.dictionaries(st.sampled_from([*STRINGS, "request.headers"]), of_any_type)


def compiled(matches: list[str]) -> dict[str, Compiled]:
    documents = [
        {"kind": "deny", "name": f"r{at}", "match": match, "priority": at % 3}
        for at, match in enumerate(matches)
    ]
    return dict(compile_snapshot([rule_from_json(each) for each in documents], 1).rules)


@example(matches=['request.headers["x"] == ""'], bags=[{"request.headers": {}}])
@given(
    matches=st.lists(st.one_of(conjunctions, MATCHES), max_size=12),
    bags=st.lists(st.builds(lambda bag, odd: bag | odd, BAGS, strange), min_size=1, max_size=4),
)
def test_exactly_those_that_match_are_found_in_their_order(
    matches: list[str], bags: list[dict[str, Any]]
) -> None:
    rules = sorted(compiled(matches).values(), key=lambda rule: rule.order)
    lookups, always = lookups_of(rules, least=1)
    assert len(lookups) <= MOST_LOOKUPS
    index = Index(lookups, always, list)
    for bag in bags:
        found = index.narrow(bag)
        assert [rule for rule in found if rule.match.test(bag)] == [
            rule for rule in rules if rule.match.test(bag)
        ]
        assert index.narrow(bag) is found


def test_what_a_match_demands_is_what_all_of_its_terms_say_together() -> None:
    match = compile_match(
        'source.user == "u" && ("h" == request.headers["x"] && request.headers["y"] == "")'
        ' && (source.service == "a" || true) && !(request.path == "/") && request.size == 1'
    )
    assert match.equals == ((("source.user", None), "u"), (("request.headers", "x"), "h"))


def compiled_as(name: str, document: dict[str, Any]) -> Compiled:
    return compile_snapshot([rule_from_json(document)], 1).rules[name]


def descriptor(number: int) -> dict[str, Any]:
    """As an import of envoyproxy/ratelimit makes them: twenty kinds, many values each."""
    keys, value = f"kind{number % 20},user", f"v{number // 20}"
    return {
        "kind": "quota", "name": f"q{number}", "limit": 1, "window": 60,
        "match": f'ratelimit.domain == "mesh" && ratelimit.keys == "{keys}"'
        f' && ratelimit.descriptor["kind{number % 20}"] == "{value}"',
    }  # fmt: skip


def bag_of(number: int, domain: str = "mesh") -> AttributeBag:
    kind, value = f"kind{number % 20}", f"v{number // 20}"
    return AttributeBag(
        {
            "ratelimit.domain": domain,
            "ratelimit.keys": f"{kind},user",
            "ratelimit.descriptor": {kind: value, "user": "ann"},
        }
    )


def test_of_thousands_of_imported_descriptors_a_handful_is_tried() -> None:
    count = 600
    snapshot = compile_snapshot([rule_from_json(descriptor(n)) for n in range(count)], 1)
    engine = Engine(MemoryCounters(), snapshot)
    for number in (0, 7, 123, count - 1):
        bag = bag_of(number)
        (matched,) = engine.matching_quotas(bag)
        assert matched.metered.rule.name == f"q{number}"
        found = snapshot.candidates("any.service")
        while found.by_values:
            found = found.by_values.narrow(bag.values)
        assert len(found.metered) < 16
    for bag in (bag_of(count), bag_of(0, "other"), AttributeBag({})):
        assert isinstance(engine.check(bag), Decision)


def test_rules_of_a_destination_and_changed_ones_are_found_beside_the_others() -> None:
    named = [
        descriptor(n) | {"name": f"to-{n}", "match": f'destination.service == "s" && {match}'}
        for n in range(40)
        for match in [descriptor(n)["match"]]
    ]
    documents = [*(descriptor(n) for n in range(40)), *named]
    first = compile_snapshot([rule_from_json(each) for each in documents], 1)
    to_s = AttributeBag(bag_of(7).values | {"destination.service": "s"})

    def names(snapshot: Snapshot, bag: AttributeBag) -> list[str]:
        engine = Engine(MemoryCounters(), snapshot)
        return [matched.metered.rule.name for matched in engine.matching_quotas(bag)]

    assert (names(first, to_s), names(first, bag_of(7))) == (["q7", "to-7"], ["q7"])
    moved = compiled_as("to-7", named[8] | {"name": "to-7"})
    second = first.changed(2, {"to-7": moved, "to-9": None})
    assert names(second, to_s) == ["q7"]
    to_s = AttributeBag(bag_of(8).values | {"destination.service": "s"})
    assert names(second, to_s) == ["q8", "to-7", "to-8"]
    third = second.changed(3, {"q8": None})
    assert (names(third, to_s), names(third, bag_of(8))) == (["to-7", "to-8"], [])


def test_what_is_remembered_of_combinations_is_bounded() -> None:
    matches = [f'source.user == "u{n}"' for n in range(80)]
    matches += [f'source.service == "s{n}"' for n in range(80)]
    lookups, always = lookups_of(compiled(matches).values())
    made: list[int] = []

    def count(rules: Any) -> int:
        made.append(len(rules))
        return len(made)

    index = Index(lookups, always, count)
    for user in range(80):
        for service in range(80):
            index.narrow({"source.user": f"u{user}", "source.service": f"s{service}"})
    assert len(made) == 80 * 80 > MOST_KEPT
    assert set(made) == {2}
    assert index.kept <= MOST_KEPT
