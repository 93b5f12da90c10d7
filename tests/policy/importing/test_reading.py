"""YAML of strangers."""

from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policy.importing.nodes import Node, Scalar, Sequence, Table
from policy.importing.reading import MAX_BYTES, MAX_DEPTH, MAX_NODES, read

Plain = dict[str, "Plain"] | list["Plain"] | str


def plain(node: Node) -> Plain:
    match node:
        case Table(entries=entries):
            return {key: plain(value) for key, value in entries.items()}
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Scalar(text=text):
            return text
    raise AssertionError(node)


def documents(text: str) -> list[Plain]:
    found = read(text)
    assert found.fault is None, found.fault
    return [plain(document) for document in found.documents]


def fault(text: str) -> tuple[str, int, int]:
    found = read(text).fault
    assert found is not None
    return found.reason, found.line, found.column


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10)
trees = st.recursive(texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner))


@given(trees.filter(lambda tree: not isinstance(tree, str)))
def test_what_is_written_is_read(tree):
    assert documents(yaml.safe_dump(tree, allow_unicode=True)) == [tree]


def test_several_documents_are_read_and_empty_ones_are_none():
    assert documents("a: 1\n---\n---\n- b\n...\n---\n'c'\n") == [{"a": "1"}, ["b"], "c"]


def test_an_alias_is_what_it_names_and_a_merge_adds_what_is_not_there():
    text = "base: &b {unit: day, n: 1}\none: *b\ntwo: {<<: *b, n: 2}\nthree: {<<: [*b, {x: y}]}\n"
    assert documents(text) == [
        {
            "base": {"unit": "day", "n": "1"},
            "one": {"unit": "day", "n": "1"},
            "two": {"unit": "day", "n": "2"},
            "three": {"unit": "day", "n": "1", "x": "y"},
        }
    ]


def test_every_part_knows_its_place():
    (root,) = read("a:\n  - b: c\n").documents
    assert isinstance(root, Table)
    listed = root.entries["a"]
    assert isinstance(listed, Sequence)
    assert (listed.line, listed.column) == (2, 3)
    assert (listed.items[0].line, listed.items[0].column) == (2, 5)


@pytest.mark.parametrize(
    ("text", "reason", "line", "column"),
    [
        ("a: 1\na: 2\n", "the key a is there twice", 2, 1),
        ("a: {<<: {b: 1}, <<: {c: 1}}", "the key << is there twice", 1, 17),
        ("a: {<<: b}", "<< takes maps", 1, 9),
        ("? [a]\n: b", "a key is a text", 1, 3),
        ("a: !!python/object/apply:os.system [x]", "the tag !!python/object/apply:os.system", 1, 4),
        ("a: !!binary aGk=", "the tag !!binary is not one of data", 1, 4),
        ("a: !mine b", "the tag !mine is not one of data", 1, 4),
        ("- &a [*a]", "*a stands inside what it names", 1, 7),
        ("- *a", "there is no anchor &a before this alias", 1, 3),
        ("a: [1\nb: }", "not YAML: ", 2, 2),
        ("a: 'b", "not YAML: found unexpected end of stream", 1, 6),
        ("a: \x01", "not YAML: control characters are not allowed", 1, 4),
        ("é: \ud800", "not Unicode text", 1, 4),
        ("\t- a", "not YAML: ", 1, 1),
        ("a: b\n--- c\n d: e", "not YAML: ", 3, 3),
    ],
)
def test_a_fault_has_its_line_and_column(text, reason, line, column):
    found = fault(text)
    assert found[0].startswith(reason)
    assert found[1:] == (line, column)


def test_the_documents_before_a_fault_are_read():
    found = read("a: 1\n---\nb: [\n")
    assert [plain(document) for document in found.documents] == [{"a": "1"}]
    assert found.fault is not None


def bombs() -> Iterator[object]:
    doubling = "a0: &a0 [x, x]\n" + "".join(
        f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)
    )
    merging = "a0: &a0 {x0: 1}\n" + "".join(
        f"a{n}: &a{n} {{l: *a{n - 1}, r: *a{n - 1}}}\n" for n in range(1, 40)
    )
    count = f"more than {MAX_NODES} values, aliases counted"
    depth = f"nested deeper than {MAX_DEPTH}"
    for name, text, reason in [
        ("doubling lists", doubling, count),
        ("doubling maps", merging, count),
        ("many items", "- a\n" * (MAX_NODES + 1), count),
        ("deep lists", "[" * 500_000, depth),
        ("deep maps", "{a: " * 200_000, depth),
        ("deep dashes", "- " * 400_000, depth),
        ("deep keys", "? " * 1000, depth),
        ("long", "a: " + "b" * MAX_BYTES, f"longer than {MAX_BYTES} bytes"),
        ("long in bytes", "é" * (MAX_BYTES // 2 + 1), f"longer than {MAX_BYTES} bytes"),
    ]:
        yield pytest.param(text, reason, id=name)


@pytest.mark.parametrize(("text", "reason"), list(bombs()))
def test_what_would_grow_beyond_measure_is_refused(text, reason):
    assert fault(text)[0] == reason


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text):
    found = read(text)
    assert found.fault is None or found.fault.reason
