"""Versions of the rule set, on SQLite and on PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from policy.acts import By, Resource
from policy.errors import Conflict, InvalidRule, TooMany, UnknownVersion
from policy.kinds import Mode
from policy.lists import list_from_json
from policy.rules import AnyRule, rule_from_json, rule_to_json
from policy.store import History, RuleStore
from policy.store.engine import rules_engine
from policy.store.tables import RULES
from tests.policy.objects import deny, quota

ANN = By("ann", "because", "10.0.0.7")


def limited(limit: int) -> Callable[[AnyRule], AnyRule]:
    return lambda rule: rule_from_json(rule_to_json(rule) | {"limit": limit})


@pytest.fixture
def history(store: RuleStore) -> History:
    return store.history


def limits(history: History, version: int) -> dict[str, int]:
    return {rule["name"]: rule["limit"] for rule in history.documents(version)}


def test_the_set_of_each_version_is_known(store: RuleStore, history: History) -> None:
    store.create(quota("a"))
    store.create(quota("b"))
    store.update("a", limited(5))
    store.delete("b")
    store.create(quota("b", limit=9))
    assert [limits(history, version) for version in range(6)] == [
        {},
        {"a": 2},
        {"a": 2, "b": 2},
        {"a": 5, "b": 2},
        {"a": 5},
        {"a": 5, "b": 9},
    ]
    assert list(history.documents(5)) == [rule_to_json(rule) for rule in store.list()]
    for never in (-1, 6, 2**40):
        with pytest.raises(UnknownVersion):
            list(history.documents(never))


def test_a_version_says_who_made_it_when_why_and_what_changed(
    store: RuleStore, history: History
) -> None:
    store.create(quota(), ANN)
    store.update("calm", limited(5), by=By(peer="10.0.0.9"), action="draft")
    store.delete("calm")
    (deleted, drafted, created), total = history.versions(10)
    assert total == 3
    assert (created.version, created.action, created.actor) == (1, "create", "ann")
    assert (created.peer, created.reason, created.changes) == ("10.0.0.7", "because", 1)
    assert created.time is not None
    assert created.time.tzinfo is not None
    assert (drafted.action, drafted.actor) == ("draft", "10.0.0.9")
    assert [tuple(*version.touched) for version in (deleted, drafted, created)] == [
        ("rule", "calm", "removed"),
        ("rule", "calm", "changed"),
        ("rule", "calm", "added"),
    ]
    assert history.version(2) == drafted
    assert history.version(0).changes == 0
    with pytest.raises(UnknownVersion):
        history.version(4)


def test_versions_are_paged(store: RuleStore, history: History) -> None:
    for number in range(7):
        store.create(quota(f"q{number}"))
    page, total = history.versions(3)
    assert ([version.version for version in page], total) == ([7, 6, 5], 7)
    page, total = history.versions(3, before=5)
    assert ([version.version for version in page], total) == ([4, 3, 2], 7)
    assert history.versions(3, before=1) == ([], 7)


def test_what_differs_between_two_versions_is_told_by_field(
    store: RuleStore, history: History
) -> None:
    overrides = [{"name": name, "when": {"source.service": name}, "limit": 1, "window": 1}
                 for name in ("x", "y")]  # fmt: skip
    store.create(quota("a", dimensions=["source.service"], overrides=overrides))
    store.create(quota("b"))
    overrides[1]["limit"] = 7
    store.update(
        "a", lambda rule: rule_from_json(rule_to_json(rule) | {"overrides": overrides, "limit": 5})
    )
    store.delete("b")
    store.create(deny("c"))
    there, more = history.difference(2, 5, 100)
    assert not more
    assert [(thing.resource, thing.name, thing.change) for thing in there] == [
        ("rule", "a", "changed"),
        ("rule", "b", "removed"),
        ("rule", "c", "added"),
    ]
    assert there[0].fields == [("/limit", 2, 5), ("/overrides/y/limit", 1, 7)]
    back, _ = history.difference(5, 2, 100)
    assert back[0].fields == [("/limit", 5, 2), ("/overrides/y/limit", 7, 1)]
    assert [thing.change for thing in back] == ["changed", "added", "removed"]
    assert history.difference(4, 4, 100) == ([], False)
    with pytest.raises(UnknownVersion):
        history.difference(0, 6, 100)


def test_what_was_changed_and_changed_back_does_not_differ(
    store: RuleStore, history: History
) -> None:
    store.create(quota())
    store.update("calm", limited(5))
    store.update("calm", limited(2))
    store.create(deny())
    store.delete("no")
    assert history.difference(1, 5, 100) == ([], False)


def test_differences_are_paged(store: RuleStore, history: History) -> None:
    store.apply({f"q{n:03}": rule_to_json(quota(f"q{n:03}")) for n in range(450)})
    names: list[str] = []
    after, more = None, True
    while more:
        things, more = history.difference(0, 1, 100, after)
        names += [thing.name for thing in things]
        after = things[-1].resource, things[-1].name
    assert names == [f"q{n:03}" for n in range(450)]
    assert len(list(history.documents(1))) == 450


def test_a_rollback_is_a_new_version_with_the_set_of_the_old_one(
    store: RuleStore, history: History
) -> None:
    store.create(quota("a"))
    store.create(quota("b"))
    store.update("a", limited(5))
    store.delete("b")
    store.create(deny("c"))
    applied = history.rollback(2, ANN)
    assert applied.version == 6
    assert limits(history, 6) == limits(history, 2) == {"a": 2, "b": 2}
    assert {rule.name: rule.version for rule in store.list()} == {"a": 3, "b": 2}
    version = history.version(6)
    assert (version.action, version.actor, version.reason) == ("rollback", "ann", "because")
    assert {touched.name: touched.change for touched in version.touched} == {
        "a": "changed",
        "b": "added",
        "c": "removed",
    }
    history.rollback(5)
    assert [rule.name for rule in store.list()] == ["a", "c"]


def test_lists_go_back_with_the_rules_that_ask_them(store: RuleStore, history: History) -> None:
    vips = list_from_json({"name": "vips", "entry_type": "literal", "entries": ["ann"]})
    gate = {"kind": "list", "name": "gate", "type": "allow", "value": "source.user", "list": "vips"}
    store.lists.create(vips)
    store.create(rule_from_json(gate))
    store.delete("gate")
    store.lists.delete("vips")
    things = history.difference(0, 2, 10).edits
    assert [(thing.resource, thing.name) for thing in things] == [
        (Resource.LIST, "vips"),
        (Resource.RULE, "gate"),
    ]
    assert history.difference(0, 2, 1, (Resource.LIST, "vips")) == (things[1:], False)
    history.rollback(2)
    assert [found.version for found in (*store.lists.list(), *store.list())] == [2, 2]
    assert [document["entries"] for document in history.documents(5, Resource.LIST)] == [["ann"]]
    with pytest.raises(InvalidRule, match="/gate/list: there is no list 'vips'"):
        store.apply({"gate": gate}, only=True)
    assert store.version() == 5
    history.rollback(0)
    assert store.load() == (6, [], [])


def test_a_rollback_leaves_what_is_the_same(store: RuleStore, history: History) -> None:
    store.create(quota("a"))
    store.create(deny("b"))
    store.update("b", lambda rule: rule.model_copy(update={"mode": Mode.DISABLED}))
    history.rollback(2)
    assert {rule.name: rule.version for rule in store.list()} == {"a": 1, "b": 3}
    assert history.rollback(2) == (4, ())
    assert store.version() == 4


def test_a_rollback_that_is_refused_changes_nothing(
    store: RuleStore, history: History, rules_url: str
) -> None:
    store.create(quota("a"))
    store.update("a", limited(5))
    with pytest.raises(UnknownVersion):
        history.rollback(9)
    with pytest.raises(Conflict, match="the rule set is at version 2, not 1"):
        history.rollback(1, expected=1)
    direct = rules_engine(rules_url)
    with direct.begin() as connection:
        connection.execute(
            text("""UPDATE changes SET after = '{"name": "a", "kind": "old"}' WHERE id = 1""")
        )
    direct.dispose()
    with pytest.raises(InvalidRule, match="/a/kind"):
        history.rollback(1)
    assert store.version() == 2
    assert [rule.version for rule in store.list()] == [2]


def test_concurrent_rollbacks_and_changes_make_one_history(
    store: RuleStore, history: History
) -> None:
    store.create(quota("a"))

    def act(number: int) -> None:
        if number % 2:
            history.rollback(1)
        else:
            store.update("a", limited(10 + number))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(act, range(16)))
    version = store.version()
    versions, total = history.versions(100)
    assert [it.version for it in versions] == list(range(version, 0, -1))
    assert total == version
    assert list(history.documents(version)) == [rule_to_json(rule) for rule in store.list()]


def test_many_rules_are_applied_as_one_version(store: RuleStore, history: History) -> None:
    store.create(quota("a"))
    store.create(quota("b"))
    wanted = {rule.name: rule_to_json(rule) for rule in (quota("a"), quota("b", limit=7), deny())}
    assert store.apply(wanted, by=ANN, action="import").version == 3
    assert {rule.name: rule.version for rule in store.list()} == {"a": 1, "b": 2, "no": 1}
    assert history.version(3).changes == 2
    assert store.apply(wanted) == (3, ())
    assert store.apply({"a": wanted["a"]}, only=True).version == 4
    assert [rule.name for rule in store.list()] == ["a"]
    assert store.apply({"no": wanted["no"]}).version == 5
    assert store.get("no").version == 2


def test_a_dry_run_says_what_would_be_and_changes_nothing(store: RuleStore) -> None:
    store.create(quota("a"))
    wanted = {rule.name: rule_to_json(rule) for rule in (quota("a", limit=7), deny())}
    applied = store.apply(wanted, dry_run=True)
    assert [(edit.name, edit.change) for edit in applied.edits] == [
        ("a", "changed"),
        ("no", "added"),
    ]
    assert (store.version(), [rule.name for rule in store.list()]) == (1, ["a"])
    gate = {"kind": "list", "name": "gate", "type": "allow", "value": "source.user", "list": "x"}
    with pytest.raises(InvalidRule, match="/gate/list"):
        store.apply({"gate": gate}, dry_run=True)


def test_an_apply_with_one_bad_rule_changes_nothing(store: RuleStore) -> None:
    store.create(quota("a"))
    wanted = {"b": rule_to_json(quota("b")), "c": {"kind": "quota", "name": "c", "limit": -1}}
    with pytest.raises(InvalidRule, match="/c/"):
        store.apply(wanted, only=True)
    with pytest.raises(InvalidRule, match="/d/name"):
        store.apply({"d": wanted["b"]})
    with pytest.raises(Conflict):
        store.apply({}, only=True, expected=0)
    assert store.load()[0] == 1


COPIES = """
WITH RECURSIVE numbers(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < :many)
INSERT INTO rules (name, version, document, changed_at)
SELECT 'copy' || n, 1, document, changed_at FROM rules CROSS JOIN numbers
"""


def test_a_set_has_no_more_rules_than_is_bearable(store: RuleStore) -> None:
    store.create(deny())
    with store.database.writing() as session:
        session.execute(text(COPIES), {"many": RULES.most})
    with pytest.raises(TooMany, match="100000"):
        store.create(deny("one-more"))
    with pytest.raises(TooMany):
        store.apply({"one-more": rule_to_json(deny("one-more"))})
    assert store.version() == 1
    store.delete("copy2")
    store.create(deny("one-more"))
    page = store.page(10, "d")
    assert ([rule.name for rule in page.rules], page.total) == (["no", "one-more"], 100_000)


Step = tuple[str, str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "drop", "back"]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(1, 3),
    ),
    max_size=12,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_whatever_was_done_every_version_stays_as_it_was(
    store: RuleStore, history: History, steps: list[Step]
) -> None:
    start = store.version()
    model = {start: limits(history, start)}
    for kind, name, number in steps:
        version = store.version()
        present = dict(model[version])
        if kind == "put":
            present[name] = number
            made = store.apply({name: rule_to_json(quota(name, limit=number))})
        elif kind == "drop":
            present.pop(name, None)
            wanted = {n: rule_to_json(quota(n, limit=limit)) for n, limit in present.items()}
            made = store.apply(wanted, only=True)
        else:
            target = max(start, version - number)
            present = model[target]
            made = history.rollback(target)
        model[made.version] = present
    for version, expected in model.items():
        assert limits(history, version) == expected
    assert limits(history, store.version()) == {
        document["name"]: document["limit"]
        for document in (rule_to_json(rule) for rule in store.list())
    }
