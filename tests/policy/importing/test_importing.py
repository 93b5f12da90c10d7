"""What all formats have in common."""

import pytest

from policy.errors import InvalidRule
from policy.importing import Severity, Source, import_sources
from tests.policy.importing.importing import clean, imported, said

NATIVE = "rules: [{kind: deny, name: no}]\n"
RATELIMIT = "domain: d\ndescriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: 1}}]\n"


def test_documents_of_several_formats_stand_in_one_text():
    assert [rule["name"] for rule in clean(f"{NATIVE}---\n{RATELIMIT}").rules] == ["no", "d-a"]


@pytest.mark.parametrize("text", ["a: b", "text", "{}", "5"])
def test_a_document_that_looks_like_nothing_known_is_refused(text):
    assert said(imported(text)) == [("", "looks like none of meshmeter, mixer, ratelimit")]


def test_a_format_that_is_named_is_held_to():
    found = imported(RATELIMIT, "meshmeter")
    assert found.rules == []
    assert said(found) == [
        ("/domain", "there is no key domain here"),
        ("/descriptors", "there is no key descriptors here"),
    ]


def test_a_name_that_is_given_is_kept_from_foreign_ones():
    found = clean(f"{RATELIMIT}---\nrules: [{{kind: deny, name: d-a}}]")
    first, second = (rule["name"] for rule in found.rules)
    assert first.startswith("d-a-")
    assert second == "d-a"


@pytest.mark.parametrize("prefix", ["A", "-a", "a" * 32, "é", "a.b"])
def test_a_prefix_that_cannot_begin_a_name_is_refused(prefix):
    with pytest.raises(InvalidRule, match="/prefix"):
        import_sources([Source("a", NATIVE)], prefix=prefix)


def test_long_names_have_room_for_the_prefix():
    text = RATELIMIT.replace("key: a", f"key: {'k' * 80}")
    (rule,) = clean(text, prefix="p" * 31).rules
    assert len(rule["name"]) == 63


def test_a_text_that_is_no_yaml_loses_no_other_text():
    found = import_sources([Source("bad.yaml", "a: ["), Source("good.yaml", NATIVE)])
    assert [rule["name"] for rule in found.rules] == ["no"]
    (note,) = found.notes
    assert (note.file, note.document, note.severity) == ("bad.yaml", 0, Severity.REFUSED)
    assert str(note).startswith("bad.yaml:2:1: refused: /: not YAML: ")


def test_a_note_says_where_in_which_file_and_document():
    found = import_sources([Source("a.yaml", NATIVE), Source("b.yaml", f"{NATIVE}---\n- {{a: 1}}")])
    again, bad = found.notes
    assert (again.file, again.document, again.path) == ("b.yaml", 1, "/rules/0")
    assert (bad.file, bad.document, bad.path, bad.line) == ("b.yaml", 2, "/0", 3)
