"""Lists that rules name: what they may say, and how the rule database keeps them."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from policy.acts import By, Resource
from policy.errors import Conflict, InvalidRule, ListInUse, NameTaken, TooMany, UnknownList
from policy.lists import NamedList, list_from_json, list_to_json, numbered_list
from policy.rules import AnyRule, rule_from_json
from policy.store import RuleStore
from policy.store.engine import rules_engine
from policy.store.models import ListRow
from policy.store.tables import LISTS
from tests.policy.objects import quota


def named(name: str = "vips", **fields: Any) -> NamedList:
    base: dict[str, Any] = {"name": name, "entry_type": "literal"}
    source = {} if {"url", "file"} & set(fields) else {"entries": ["ann", "bob"]}
    return list_from_json(base | source | fields)


def entries(*texts: str) -> Callable[[NamedList], NamedList]:
    return lambda present: list_from_json(list_to_json(present) | {"entries": [*texts]})


@pytest.mark.parametrize(
    "fields",
    [
        {"entries": ["ann"], "description": "é", "case_insensitive": True},
        {"entries": []},
        {"url": "https://lists.example/bad.txt?v=1", "entry_type": "cidr", "refresh": 1, "ttl": 1},
        {"url": "http://10.0.0.1:8080"},
        {"url": "http://[2001:db8::1]:8080/x"},
        {"file": "teams/blocked.txt", "refresh": 604_800, "ttl": 604_800},
    ],
)
def test_a_list_goes_to_json_and_back(fields: dict[str, Any]) -> None:
    made = named(**fields)
    assert list_from_json(list_to_json(made)) == made


def test_the_documented_list_and_rule_can_be_made() -> None:
    page = (Path(__file__).parents[2] / "docs" / "lists.md").read_text()
    made, rule = map(json.loads, re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    assert list_from_json(made).name == rule["list"]
    assert rule_from_json(rule).kind == "list"


@pytest.mark.parametrize(
    ("fields", "place", "reason"),
    [
        ({"name": "Not A Label"}, "/name", "expected a DNS label"),
        ({"entry_type": "glob"}, "/entry_type", "expected"),
        ({"entries": None}, "/entries", "expected exactly one of entries, url, file"),
        (
            {"entries": ["a"], "url": "http://a"},
            "/url",
            "expected exactly one of entries, url, file",
        ),
        ({"url": "http://a", "file": "a"}, "/file", "expected exactly one of entries, url, file"),
        ({"entries": ["a", ""]}, "/entries/1", "is empty"),
        ({"entries": ["a", 1]}, "/entries/1", "expected a valid string"),
        ({"entries": ["("], "entry_type": "regex"}, "/entries/0", "not a regular expression"),
        (
            {"url": "http://a", "entry_type": "cidr", "case_insensitive": True},
            "/case_insensitive",
            "addresses have no upper and lower case",
        ),
        ({"url": "ftp://a/b"}, "/url", "expected a URL of http or https"),
        ({"url": "file:///etc/passwd"}, "/url", "expected a URL of http or https"),
        ({"url": "/etc/passwd"}, "/url", "expected a URL of http or https"),
        ({"url": "http:///x"}, "/url", "has no host"),
        ({"url": "http://a:99999/"}, "/url", "not a URL"),
        ({"url": "http://[::1/"}, "/url", "not a URL"),
        ({"url": "http://me:secret@a/"}, "/url", "holds a user or a password"),
        ({"url": "http://a/#b"}, "/url", "has a fragment"),
        ({"url": "http://a/ b"}, "/url", "expected ASCII without spaces"),
        ({"url": "http://é/"}, "/url", "expected ASCII without spaces"),
        ({"url": "http://a/" + "x" * 2048}, "/url", "longer than 2048 characters"),
        ({"file": "/etc/passwd"}, "/file", "expected a path below"),
        ({"file": "../passwd"}, "/file", "expected a path below"),
        ({"file": "a/../../passwd"}, "/file", "expected a path below"),
        ({"file": ""}, "/file", "expected a path below"),
        ({"file": "a\0"}, "/file", "holds a character that cannot be printed"),
        ({"url": "http://a", "refresh": 0.5}, "/refresh", "expected"),
        ({"url": "http://a", "refresh": 604_801}, "/refresh", "expected"),
        ({"url": "http://a", "ttl": 0}, "/ttl", "expected"),
        ({"url": "http://a", "refresh": 60, "ttl": 59}, "/ttl", "shorter than refresh"),
        ({"owner": "ann"}, "/owner", "there is no such field here"),
    ],
)
def test_a_list_that_cannot_be_is_refused_with_its_place(
    fields: dict[str, Any], place: str, reason: str
) -> None:
    with pytest.raises(InvalidRule) as refused:
        named(**fields)
    assert (refused.value.place, refused.value.reason[: len(reason)]) == (place, reason)


def test_a_list_is_kept_as_it_was_made(store: RuleStore) -> None:
    store.lists.create(named())
    store.lists.create(named("bad", url="https://lists.example/bad", entry_type="cidr"))
    assert store.lists.get("vips") == numbered_list(named(), 1)
    assert [found.name for found in store.lists.list()] == ["bad", "vips"]


def test_a_change_of_a_list_counts_the_list_and_the_set(store: RuleStore) -> None:
    store.lists.create(named())
    store.create(quota())
    assert store.lists.update("vips", entries("carl")).version == 2
    store.lists.delete("vips")
    assert store.version() == 4


def test_a_change_of_a_list_is_recorded_among_those_of_rules(store: RuleStore) -> None:
    store.lists.create(named(), By("ann"))
    store.create(quota("vips"), By("bob"))
    store.lists.update("vips", entries("carl"))
    store.lists.delete("vips")
    deleted, updated, rule, created = store.audit.entries(10).entries
    assert (created.version, created.actor, created.resource) == (1, "ann", Resource.LIST)
    assert (created.before, rule.resource) == (None, Resource.RULE)
    assert updated.before is not None
    assert updated.after is not None
    assert (updated.before["entries"], updated.after["entries"]) == (["ann", "bob"], ["carl"])
    assert (updated.before["version"], updated.after["version"]) == (1, 2)
    assert (deleted.before, deleted.after) == (updated.after, None)


def test_a_list_made_again_does_not_reuse_a_version_and_a_rule_of_its_name_does_not_count(
    store: RuleStore,
) -> None:
    store.create(quota("vips"))
    store.lists.create(named())
    store.lists.update("vips", entries("carl"))
    store.lists.delete("vips")
    store.delete("vips")
    assert store.lists.create(named()).version == 3
    assert store.create(quota("vips")).version == 2


def test_a_refused_change_of_a_list_leaves_nothing(store: RuleStore) -> None:
    store.lists.create(named())
    with pytest.raises(NameTaken, match="there is a list 'vips' already"):
        store.lists.create(named())
    with pytest.raises(UnknownList):
        store.lists.update("none", entries("carl"))
    with pytest.raises(UnknownList):
        store.lists.delete("none")
    with pytest.raises(UnknownList):
        store.lists.get("none")
    with pytest.raises(Conflict, match="list 'vips' is at version 1, not 7"):
        store.lists.update("vips", entries("carl"), expected=7)
    with pytest.raises(Conflict):
        store.lists.delete("vips", expected=7)
    with pytest.raises(InvalidRule, match="/name"):
        store.lists.update("vips", lambda present: named("other"))
    with pytest.raises(InvalidRule, match="/entries/0"):
        store.lists.update("vips", entries(""))
    assert (store.version(), store.audit.entries(10).total) == (1, 1)
    assert store.load().lists == [numbered_list(named(), 1)]


def test_of_two_edits_of_one_version_of_a_list_one_is_refused(store: RuleStore) -> None:
    store.lists.create(named())

    def edit(number: int) -> bool:
        try:
            store.lists.update("vips", entries(f"n{number}"), expected=1)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(edit, range(8))) == 1


def test_what_is_loaded_is_of_one_moment(store: RuleStore) -> None:
    """Nothing is deleted, so each change adds one."""

    def change(number: int) -> None:
        store.lists.create(named(f"l{number}"))
        store.create(quota(f"q{number}"))

    with ThreadPoolExecutor(4) as threads:
        loads = [threads.submit(store.load) for _ in range(40)]
        made = [threads.submit(change, number) for number in range(20)]
        loads += [threads.submit(store.load) for _ in range(40)]
        for done in made:
            done.result()
        for load in loads:
            version, rules, lists = load.result()
            assert version == len(rules) + len(lists)


def test_a_list_that_did_not_change_is_not_read_again(store: RuleStore, rules_url: str) -> None:
    store.lists.create(named())
    store.lists.create(named("other"))
    known = {found.name: found for found in store.load().lists}
    stamp = store.stamp()
    store.create(asking("r"))
    engine = rules_engine(rules_url)
    with engine.begin() as connection:
        connection.execute(text("""UPDATE lists SET document = '{"name": "spoilt"}'"""))
    engine.dispose()
    changed = store.changed(stamp, known)
    assert changed is not None
    assert changed.lists == [known["other"], known["vips"]]
    with pytest.raises(InvalidRule, match="/other/entry_type: is required"):
        store.load()


def asking(name: str, asked: str = "vips", **fields: Any) -> AnyRule:
    base = {"kind": "list", "name": name, "type": "allow", "value": "source.user", "list": asked}
    return rule_from_json(base | fields)


def test_a_rule_that_asks_a_list_that_is_not_there_is_refused(store: RuleStore) -> None:
    with pytest.raises(InvalidRule, match="/list: there is no list 'vips'"):
        store.create(asking("r"))
    store.lists.create(named())
    store.create(asking("r"))
    with pytest.raises(InvalidRule, match="/list: there is no list 'none'"):
        store.update("r", lambda rule: asking("r", "none"))
    with pytest.raises(InvalidRule, match="/list: there is no list 'none'"):
        store.create(asking("off", "none", mode="disabled"))
    assert (store.version(), len(store.list())) == (2, 1)


def test_a_list_that_rules_ask_is_not_deleted(store: RuleStore) -> None:
    for name in ("vips", "other"):
        store.lists.create(named(name))
    for number in range(7):
        store.create(asking(f"r{number}", mode="disabled" if number else "enabled"))
    store.create(asking("another", "other"))
    with pytest.raises(ListInUse, match="used by rule r0, r1, r2, r3, r4 and 2 more") as refused:
        store.lists.delete("vips")
    assert refused.value.rules == [f"r{number}" for number in range(7)]
    for number in range(7):
        store.delete(f"r{number}")
    store.lists.delete("vips")
    assert [found.name for found in store.lists.list()] == ["other"]


def test_a_list_deleted_while_a_rule_comes_to_ask_it_leaves_no_rule_without(
    store: RuleStore,
) -> None:
    def refused(change: Callable[[], object]) -> bool:
        try:
            change()
        except (InvalidRule, ListInUse):
            return True
        return False

    for number in range(10):
        name = f"l{number}"
        store.lists.create(named(name))
        with ThreadPoolExecutor(2) as threads:
            create = partial(store.create, asking(f"r{number}", name))
            both = threads.map(refused, [create, partial(store.lists.delete, name)])
            assert sorted(both) == [False, True]
    rules, lists = store.list(), store.lists.list()
    assert [rule.name[1:] for rule in rules] == [found.name[1:] for found in lists]


def test_there_are_only_so_many_lists(store: RuleStore, rules_url: str) -> None:
    engine = rules_engine(rules_url)
    with engine.begin() as connection:
        rows = [
            {"name": f"l{number}", "version": 1, "document": list_to_json(named(f"l{number}"))}
            for number in range(LISTS.most)
        ]
        connection.execute(insert(ListRow), rows)
    engine.dispose()
    with pytest.raises(TooMany, match=f"there are {LISTS.most} lists already"):
        store.lists.create(named())
    assert len(store.load().lists) == LISTS.most
