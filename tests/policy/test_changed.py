"""Reading what changed gives what reading everything gives, on SQLite and on PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from policy.errors import InvalidRule, ListInUse, NameTaken, UnknownList, UnknownRule
from policy.kinds import AnyRule
from policy.lists import HeldLists, NamedList, list_from_json, list_to_json
from policy.rules import rule_from_json, rule_to_json
from policy.snapshot import Snapshot
from policy.store import Changed, RuleStore, Stamp
from policy.store.engine import rules_engine
from tests.policy.objects import deny, quota
from tests.policy.small_sets import NAMES, RULES, decisions, shown

LISTS = st.builds(
    lambda name, entries: list_from_json(
        {"name": name, "entry_type": "literal", "entries": sorted(entries)}
    ),
    st.sampled_from(["one", "two"]),
    st.sets(st.sampled_from(["x", "y", "z"]), min_size=1),
)
GATES = st.builds(
    lambda name, asked, mode: rule_from_json(
        {
            "kind": "list", "name": name, "type": "deny", "value": "destination.service",
            "list": asked, "mode": mode,
        }
    ),
    st.sampled_from(NAMES),
    st.sampled_from(["one", "two"]),
    st.sampled_from(["enabled", "shadow", "disabled"]),
)  # fmt: skip
ANY_RULE = RULES | GATES
Act = Callable[[RuleStore], object]


def imported(rules: list[AnyRule], lists: list[NamedList], only: bool) -> Act:
    return lambda store: store.apply(
        {rule.name: rule_to_json(rule) for rule in rules},
        {named.name: list_to_json(named) for named in lists},
        only=only,
    )


def rolled_back(share: float) -> Act:
    return lambda store: store.history.rollback(int(store.version() * share))


ACTS = st.one_of(
    ANY_RULE.map(lambda rule: lambda store: store.create(rule)),
    ANY_RULE.map(lambda rule: lambda store: store.update(rule.name, lambda _: rule)),
    st.sampled_from(NAMES).map(lambda name: lambda store: store.delete(name)),
    LISTS.map(lambda named: lambda store: store.lists.create(named)),
    LISTS.map(lambda named: lambda store: store.lists.update(named.name, lambda _: named)),
    st.sampled_from(["one", "two"]).map(lambda name: lambda store: store.lists.delete(name)),
    st.builds(imported, st.lists(ANY_RULE, max_size=4), st.lists(LISTS, max_size=2), st.booleans()),
    st.floats(0, 1).map(rolled_back),
)
REFUSALS = (InvalidRule, ListInUse, NameTaken, UnknownList, UnknownRule)


class Reader:
    """Holds what it read, and reads what changed since; as a collector does."""

    def __init__(self) -> None:
        self.stamp: Stamp | None = None
        self.lists: list[NamedList] = []
        self.snapshot: Snapshot | None = None

    def read(self, store: RuleStore) -> Changed | None:
        changed = store.changed(self.stamp, {named.name: named for named in self.lists})
        if changed is not None:
            self.stamp, self.lists = changed.stamp, [*changed.lists]
            self.snapshot = changed.snapshot(self.snapshot, held(self.lists))
        return changed

    def as_stored(self, store: RuleStore) -> Snapshot:
        """What is held; it is what there is."""
        whole = Reader()
        whole.read(store)
        assert self.snapshot is not None
        assert whole.snapshot is not None
        assert self.lists == store.lists.list()
        assert self.snapshot.version == store.version()
        assert self.snapshot.rules.keys() == whole.snapshot.rules.keys()
        assert shown(self.snapshot) == shown(whole.snapshot)
        assert decisions(self.snapshot) == decisions(whole.snapshot)
        return self.snapshot


def held(lists: list[NamedList]) -> HeldLists:
    ready = HeldLists()
    for named in lists:
        ready.of(named.name).entries = named.compile(named.entries or ())
    return ready


@given(acts=st.lists(st.tuples(ACTS, st.booleans()), max_size=12))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_was_done_what_changed_leads_to_what_there_is(
    store: RuleStore, acts: list[tuple[Act, bool]]
) -> None:
    """Acts after which nothing is read are told of later."""
    store.apply({}, only=True)
    often, seldom = Reader(), Reader()
    seldom.read(store)
    for act, read in acts:
        with suppress(*REFUSALS):
            act(store)
        if read:
            often.read(store)
    for reader in (often, seldom):
        reader.read(store)
        reader.as_stored(store)
        assert reader.read(store) is None


def test_what_changed_since_a_version_is_told(store: RuleStore) -> None:
    everything = store.changed(None)
    assert everything is not None
    assert (everything.stamp, everything.documents) == ((0, None), [])
    for name in ("a", "b", "c"):
        store.create(quota(name))
    first = store.changed(everything.stamp)
    assert first is not None
    assert (first.since, first.stamp.version, len(first.documents)) == (None, 3, 3)
    assert store.changed(first.stamp) is None
    store.update("a", lambda rule: rule.model_copy(update={"priority": 7}))
    store.delete("b")
    store.create(deny())
    store.delete("no")
    changed = store.changed(first.stamp)
    assert changed is not None
    assert changed.since == first.stamp
    assert changed.documents == [rule_to_json(store.get("a"))]
    assert sorted(changed.gone) == ["b", "no"]
    assert changed.stamp == store.stamp()


def test_of_many_only_the_one_that_changed_is_compiled(store: RuleStore) -> None:
    store.apply({f"q{n}": rule_to_json(quota(f"q{n}")) for n in range(50)})
    reader = Reader()
    reader.read(store)
    before = reader.as_stored(store)
    store.update("q7", lambda rule: rule.model_copy(update={"priority": 7}))
    changed = reader.read(store)
    assert changed is not None
    assert len(changed.documents) == 1
    after = reader.as_stored(store)
    assert {name for name in after.rules if after.rules[name] is not before.rules[name]} == {"q7"}


def test_more_names_than_one_statement_takes_are_told(store: RuleStore) -> None:
    reader = Reader()
    store.create(quota())
    reader.read(store)
    store.apply({f"q{n}": rule_to_json(quota(f"q{n}")) for n in range(1100)})
    changed = reader.read(store)
    assert changed is not None
    assert (changed.since is not None, len(changed.documents)) == (True, 1100)


def test_what_is_read_while_others_write_is_of_one_version(store: RuleStore) -> None:
    """Each reader reads at its own times, and ends where the others do."""
    readers = [Reader() for _ in range(3)]

    def follow(reader: Reader) -> None:
        while store.version() < 40:
            if reader.read(store):
                snapshot = reader.snapshot
                assert snapshot is not None
                assert len(snapshot.rules) == snapshot.version

    def write(first: int) -> None:
        for number in range(first, first + 20):
            store.create(quota(f"q{number}"))

    with ThreadPoolExecutor(5) as threads:
        work = [threads.submit(follow, reader) for reader in readers]
        work += [threads.submit(write, first) for first in (0, 20)]
        for done in work:
            done.result()
    for reader in readers:
        reader.read(store)
        reader.as_stored(store)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda stamp: stamp._replace(version=2), id="an older version's time"),
        pytest.param(lambda stamp: stamp._replace(version=9), id="a version still to come"),
        pytest.param(lambda stamp: stamp._replace(time=None), id="a version of no act"),
    ],
)
def test_of_a_version_that_never_was_here_all_is_read(
    store: RuleStore, other: Callable[[Stamp], Stamp]
) -> None:
    for name in ("a", "b", "c"):
        store.create(quota(name))
    changed = store.changed(other(store.stamp()))
    assert changed is not None
    assert (changed.since, len(changed.documents)) == (None, 3)


def test_what_was_changed_by_other_means_than_acts_is_found_at_the_next_version(
    store: RuleStore, rules_url: str
) -> None:
    store.create(quota("a"))
    store.create(quota("b"))
    early, late = Reader(), Reader()
    early.read(store)
    late.read(store)
    engine = rules_engine(rules_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM rules WHERE name = 'a'"))
        connection.execute(text("UPDATE rule_set SET version = version + 1"))
    engine.dispose()
    early.read(store)
    assert [*early.as_stored(store).rules] == ["b"]
    store.create(deny())
    for reader in (early, late):
        reader.read(store)
        assert sorted(reader.as_stored(store).rules) == ["b", "no"]


def test_a_database_that_was_restored_is_read_whole(store: RuleStore, rules_url: str) -> None:
    """Its versions go on from where it was, with other rules and lists in them."""
    named = list_from_json({"name": "one", "entry_type": "literal", "entries": ["x"]})
    store.create(quota("a"))
    reader = Reader()
    reader.read(store)
    store.lists.create(named)
    store.create(quota("b"))
    ahead = Reader()
    ahead.read(store)
    undo_acts(rules_url, 1)
    ahead.read(store)
    assert [*ahead.as_stored(store).rules] == ["a"]
    again = Reader()
    again.read(store)
    store.lists.create(named.model_copy(update={"entries": ("y",)}))
    store.create(quota("c"))
    for other in (reader, ahead, again):
        other.read(store)
        assert sorted(other.as_stored(store).rules) == ["a", "c"]


def test_a_database_restored_and_changed_as_often_as_before_is_read_whole(
    store: RuleStore, rules_url: str
) -> None:
    named = list_from_json({"name": "one", "entry_type": "literal", "entries": ["x"]})
    store.create(quota("a"))
    store.lists.create(named)
    store.create(quota("b"))
    reader = Reader()
    reader.read(store)
    undo_acts(rules_url, 1)
    store.lists.create(named.model_copy(update={"entries": ("y",)}))
    store.create(quota("c"))
    assert reader.stamp is not None
    assert reader.stamp.version == store.version()
    reader.read(store)
    assert sorted(reader.as_stored(store).rules) == ["a", "c"]


def undo_acts(url: str, version: int) -> None:
    """Makes the database as it was at the version, as a backup of then is; of what was created."""
    engine = rules_engine(url)
    newer = "SELECT name FROM changes JOIN acts ON acts.id = act WHERE acts.version > :version"
    with engine.begin() as connection:
        for statement in (
            f"DELETE FROM rules WHERE name IN ({newer})",
            f"DELETE FROM lists WHERE name IN ({newer})",
            "DELETE FROM changes WHERE act IN (SELECT id FROM acts WHERE version > :version)",
            "DELETE FROM acts WHERE version > :version",
            "UPDATE rule_set SET version = :version",
        ):
            connection.execute(text(statement), {"version": version})
    engine.dispose()
