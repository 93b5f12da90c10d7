"""meshmeter's own YAML."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policy.exporting import exported, written
from policy.importing.native import plain, resolved
from policy.importing.places import Ledger, Place
from policy.importing.reading import read
from policy.lists import list_from_json
from policy.rules import rule_from_json
from tests.policy.importing.importing import clean, imported, said
from tests.policy.importing.strategies import awkward, rules, texts

DENY = "{kind: deny, name: no}"


@given(st.lists(rules, max_size=5, unique_by=lambda rule: rule.name))
def test_what_is_exported_imports_to_the_same_rules(rules):
    found = clean(exported(rules), "meshmeter")
    assert [rule_from_json(document) for document in found.rules] == rules


scalars = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | texts | awkward
floats = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.recursive(scalars | floats, lambda inner: st.lists(inner) | st.dictionaries(texts, inner))
)
def test_every_json_value_goes_to_yaml_and_back(value):
    text = written({"value": value})
    (root,) = read(text).documents
    assert plain(Place(Ledger(), "", 1, "", root)) == {"value": value}
    assert yaml.safe_load(text) == {"value": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("12", 12),
        ("-3", -3),
        ("010", "010"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("00.5", "00.5"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("12:30", "12:30"),
        ("2001-01-01", "2001-01-01"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    assert resolved(text) == value
    assert type(resolved(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "kind: deny\nname: no\n",
        "- {kind: deny, name: no}\n",
        "rules:\n- kind: deny\n  name: no\n",
        "---\nrules: []\n---\n- {kind: deny, name: no}\n",
        "rules:\nlists:\n---\nkind: deny\nname: no",
    ],
)
def test_rules_stand_alone_in_a_list_or_by_their_name(text):
    assert clean(text).rules == [{"name": "no", "kind": "deny"}]


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("rules: [{kind: deny}]", "/rules/0", "name is required, a text"),
        ("rules: [{kind: deny, name: 5}]", "/rules/0", "name is required, a text"),
        ("rules: [{kind: deny, name: A}]", "/rules/0/name", "expected a DNS label"),
        ("rules: [{kind: no, name: a}]", "/rules/0/kind", "expected one of"),
        ("rules: [{name: a}]", "/rules/0", "expected one of"),
        ("rules: [{kind: deny, name: a, x: 1}]", "/rules/0/x", "there is no such field here"),
        ("rules: [text]", "/rules/0", "expected a map, found 'text'"),
        ("rules: text", "/rules", "expected a list, found 'text'"),
        ("rules: []\nrulez: []", "/rulez", "there is no key rulez here"),
        (f"rules: [{DENY}, {DENY}]", "/rules/1", "there is another no before it"),
        (
            "rules: [{kind: deny, name: a, match: 'source.service = 1'}]",
            "/rules/0/match",
            "expected ==, found = (line 1, column 16 of it)",
        ),
        (
            "rules: [{kind: quota, name: a, limit: -1, window: 1}]",
            "/rules/0/limit",
            "-1, expected 1 to 1000000000000000",
        ),
    ],
)
def test_what_is_wrong_is_refused_at_its_place(text, path, reason):
    found = imported(text, "meshmeter")
    ((place, told),) = said(found)
    assert (place, told.startswith(reason)) == (path, True), told
    assert {rule["name"] for rule in found.rules} <= {"no"}


def test_a_fault_has_the_line_of_what_is_wrong():
    found = imported("rules:\n- kind: deny\n  name: a\n  http_status: 200\n")
    assert str(found.notes[0]).startswith("a.yaml:4:16: refused: /rules/0/http_status: ")


def test_a_prefix_stands_before_every_name():
    assert clean(f"rules: [{DENY}]", prefix="team-a").rules[0]["name"] == "team-a-no"


def test_an_export_has_what_differs_from_the_defaults():
    rule = rule_from_json(
        {
            "kind": "quota",
            "name": "calm",
            "match": 'source.service == "a" && request.method in ["GET", \'PUT\']',
            "description": "12",
            "limit": 3,
            "window": 0.5,
            "dimensions": ["source.user"],
            "overrides": [{"name": "b", "when": {"source.user": "5"}, "unlimited": True}],
        }
    )
    assert exported([rule.model_copy(update={"version": 7})]) == (
        "rules:\n"
        "- kind: quota\n"
        "  name: calm\n"
        '  match: source.service == "a" && request.method in ["GET", \'PUT\']\n'
        "  description: '12'\n"
        "  limit: 3\n"
        "  window: 0.5\n"
        "  dimensions:\n"
        "  - source.user\n"
        "  overrides:\n"
        "  - name: b\n"
        "    when:\n"
        "      source.user: '5'\n"
        "    unlimited: true\n"
    )


def test_nothing_exports_to_no_rules():
    assert exported([]) == "rules: []\n"
    assert clean(exported([])).rules == []


LISTS = """
rules:
- {kind: list, name: gate, type: allow, value: source.user, list: vips}
- {kind: list, name: other, type: allow, value: source.user, list: elsewhere}
lists:
- {name: vips, entry_type: literal, entries: [ann, "5"]}
- {name: remote, entry_type: cidr, url: "https://lists.example/a", refresh: 30.0}
"""


def test_lists_are_exported_and_imported_beside_the_rules():
    found = clean(LISTS)
    lists = [list_from_json(document) for document in found.lists]
    assert [named.name for named in lists] == ["vips", "remote"]
    again = clean(exported([rule_from_json(document) for document in found.rules], lists))
    assert [list_from_json(document) for document in again.lists] == lists


def test_a_prefix_is_also_that_of_the_lists_and_of_their_mention():
    found = clean(LISTS, prefix="a")
    assert [named["name"] for named in found.lists] == ["a-vips", "a-remote"]
    assert [rule["list"] for rule in found.rules] == ["a-vips", "elsewhere"]


@pytest.mark.parametrize(
    ("text", "said_of"),
    [
        (
            LISTS.replace("entries: [ann", "entries: [''"),
            [
                ("/rules/0", "the list vips, which it asks, was refused"),
                ("/lists/0/entries/0", "is empty"),
            ],
        ),
        (
            LISTS.replace("list: vips", "list: [vips]"),
            [("/rules/0/list", "expected a valid string")],
        ),
    ],
)
def test_a_list_that_is_refused_takes_the_rules_that_ask_it_along(text, said_of):
    found = imported(text)
    assert said(found) == said_of
    assert [rule["name"] for rule in found.rules] == ["other"]
