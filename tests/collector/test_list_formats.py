"""Lists as lines, as JSON and as YAML, and what is none."""

import pytest

from collector.lists.formats import entries_of
from collector.lists.source import Fetched, SourceFailed, Tag

BOMB = "\n".join(["a: &a [x, x]", *(f"{c}: &{c} [*{chr(ord(c) - 1)}]" for c in "bcdefgh")])


def read(body: str | bytes, media_type: str = "text/plain") -> tuple[list[str], list[int]]:
    raw = body.encode() if isinstance(body, str) else body
    return tuple(entries_of(Fetched(raw, False, media_type, Tag())))  # type: ignore[return-value]


def test_lines_are_entries_without_comments_and_space() -> None:
    body = "# all\r\n  ann \r\n\r\nbob\t# the builder\n#carl\nhttp://a/#x\n\u00a0dora"
    assert read(body) == (["ann", "bob", "http://a/#x", "dora"], [2, 4, 6, 7])


def test_a_list_of_comments_only_is_a_list_of_nothing() -> None:
    assert read("# none yet\n") == ([], [])


def test_a_byte_order_mark_is_no_part_of_the_first_entry() -> None:
    assert read(b"\xef\xbb\xbfann") == (["ann"], [1])


@pytest.mark.parametrize("media_type", ["application/json", "text/json", "application/x+json"])
def test_json_is_an_array_of_strings(media_type: str) -> None:
    assert read('["ann", "b\\u00e9a"]', media_type) == (["ann", "béa"], [])


@pytest.mark.parametrize(
    "body",
    [
        "- ann\n- 10\n- no\n- '2026-01-01'\n",
        "[ann, 10, no, 2026-01-01]",
        '["ann", "10", "no", "2026-01-01"]',
        "whitelist: [ann, 10, no, 2026-01-01]",
        "---\nwhitelist:\n- ann\n- 10\n- no\n- 2026-01-01\n...\n",
    ],
)
def test_yaml_is_an_array_whose_values_are_texts_as_they_are_written(body: str) -> None:
    assert read(body, "application/yaml")[0] == ["ann", "10", "no", "2026-01-01"]


def test_yaml_knows_its_lines() -> None:
    assert read("# all\n- ann\n\n- bob\n", "text/yaml")[1] == [2, 4]


@pytest.mark.parametrize(
    ("body", "media_type", "reason"),
    [
        ("", "text/plain", "is empty"),
        (" \n", "application/json", "is empty"),
        (b"ann\nb\xffb", "text/plain", "not UTF-8 at byte 5"),
        ("<html>", "text/html", "content type 'text/html', expected text/plain, JSON or YAML"),
        ('["ann"', "application/json", "no JSON array of strings"),
        ('{"whitelist": ["a"]}', "application/json", "no JSON array of strings"),
        ('["ann", 1]', "application/json", r"no JSON array of strings: .*\[1\]"),
        ('["ann", null]', "application/json", r"no JSON array of strings: .*\[1\]"),
        ("[" * 100_000, "application/json", "no JSON array of strings"),
        ("ann", "application/yaml", "line 1: expected an array of strings and no more"),
        ("- ann\n- [bob]\n", "application/yaml", "line 2: expected an array of strings"),
        ("- ann\n- {b: c}\n", "application/yaml", "line 2: expected an array of strings"),
        ("- ann\n- !!int 1\n", "application/yaml", "line 2: anchors and tags are not taken"),
        ("- !!python/name:os.system\n", "application/yaml", "line 1: anchors and tags"),
        ("- &a ann\n- *a\n", "application/yaml", "line 1: anchors and tags are not taken"),
        ("- ann\n- *a\n", "application/yaml", "(?s)line 2|no YAML"),
        ("&a [ann]", "application/yaml", "line 1: anchors and tags are not taken"),
        ("- ann\n---\n- bob\n", "application/yaml", "line 2: expected an array of strings"),
        ("- ann\n b: [\n", "application/yaml", "no YAML: .*line"),
        ("blacklist: [ann]", "application/yaml", "line 1: expected an array, or whitelist"),
        ("whitelist: [ann]\nother: [bob]", "application/yaml", "line 2: expected an array"),
        ("? [a]\n: [b]", "application/yaml", "line 1: expected an array of strings"),
        (BOMB, "application/yaml", "line 1: expected an array, or whitelist"),
        ("[" * 100_000, "application/yaml", "line 1: expected an array of strings"),
        ("# none\n", "application/yaml", "line 2: expected an array of strings|line 1"),
    ],
)
def test_what_is_no_list_is_refused_with_its_place(
    body: str | bytes, media_type: str, reason: str
) -> None:
    with pytest.raises(SourceFailed, match=reason):
        read(body, media_type)
