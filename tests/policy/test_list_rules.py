"""Rules that let pass, or refuse, what is on a list."""

import ipaddress
from typing import Any

import pytest

from policy.lists import EntryType, HeldLists, compile_entries
from tests.policy.deciding import decide, deciding


def rule(**fields: Any) -> dict[str, Any]:
    base = {"kind": "list", "name": "known", "type": "deny", "value": "source.service"}
    return base | fields


@pytest.mark.parametrize(
    ("kind", "value", "passes"),
    [
        ("deny", "a", False),
        ("deny", "b", True),
        ("allow", "a", True),
        ("allow", "b", False),
    ],
)
def test_what_is_on_it_is_refused_or_alone_let_pass(kind: str, value: str, passes: bool) -> None:
    engine = deciding(rule(type=kind, entries=["a"]))
    assert decide(engine, {"source.service": value}).allowed is passes


@pytest.mark.parametrize(
    ("entry_type", "entries", "value", "listed"),
    [
        ("prefix", ["bat"], "batch", True),
        ("prefix", ["bat"], "a-batch", False),
        ("regex", ["^b.*h$"], "batch", True),
        ("regex", ["^b.*h$"], "batches", False),
        ("literal", ["Batch"], "batch", False),
    ],
)
def test_entries_are_compared_as_their_type_says(
    entry_type: str, entries: list[str], value: str, listed: bool
) -> None:
    engine = deciding(rule(entry_type=entry_type, entries=entries))
    assert decide(engine, {"source.service": value}).allowed is not listed


def test_case_may_be_of_no_matter() -> None:
    engine = deciding(rule(entries=["Batch"], case_insensitive=True))
    assert not decide(engine, {"source.service": "bAtch"}).allowed


def test_addresses_are_found_in_networks() -> None:
    engine = deciding(
        rule(value="source.ip", entry_type="cidr", entries=["10.1.0.0/16", "2001:db8::/32"])
    )
    for address, passes in (
        ("10.1.2.3", False),
        ("10.2.2.3", True),
        ("::ffff:10.1.2.3", False),
        ("2001:db8::7", False),
        ("2001:db9::7", True),
    ):
        bag = {"source.ip": ipaddress.ip_address(address).packed}
        assert decide(engine, bag).allowed is passes, address


def test_an_absent_value_is_on_no_list() -> None:
    deny = rule(value="source.user", entries=["ann"])
    assert decide(deciding(deny)).allowed
    assert not decide(deciding(deny | {"type": "allow"})).allowed


def test_an_empty_list_is_a_list() -> None:
    assert decide(deciding(rule(entries=[]))).allowed
    assert not decide(deciding(rule(type="allow", entries=[]))).allowed


def test_the_refusal_says_which_list() -> None:
    assert decide(deciding(rule(entries=["a"]))).reason == "on list known"
    assert decide(deciding(rule(type="allow", entries=["x"]))).reason == "not on list known"
    told = decide(deciding(rule(entries=["a"], message="go away", http_status=404)))
    assert (told.reason, told.http_status) == ("go away", 404)


def test_a_list_kept_apart_may_change_without_the_rule() -> None:
    lists = HeldLists()
    engine = deciding(rule(list="bad"), lists=lists)
    lists.of("bad").entries = compile_entries(["a"], EntryType.LITERAL)
    assert not decide(engine).allowed
    lists.of("bad").entries = compile_entries(["b"], EntryType.LITERAL)
    assert decide(engine).allowed


@pytest.mark.parametrize(
    ("kind", "said", "passes"),
    [
        ("allow", None, False),
        ("deny", None, True),
        ("allow", "pass", True),
        ("deny", "refuse", False),
    ],
)
def test_a_list_that_was_never_fetched(kind: str, said: str | None, passes: bool) -> None:
    lists = HeldLists()
    fields = {"list": "bad", "type": kind, "on_unavailable": said, "message": "go away"}
    engine = deciding(rule(**fields), lists=lists)
    decision = decide(engine)
    assert decision.allowed is passes
    assert decision.reason == ("" if passes else "list bad was never fetched")
    assert lists.of("bad").unanswered == 1
