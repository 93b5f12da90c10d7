"""Lists: what is on them, and what cannot be a list."""

import ipaddress
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import InvalidRule
from policy.lists import EntryList, EntryType, HeldLists, compile_entries
from policy.lists.entries import MAX_BYTES, MAX_CHARACTERS, MAX_ENTRIES, MAX_NOTES
from policy.lists.patterns import SET_SIZE


def of(kind: str, *entries: object, fold: bool = False) -> EntryList:
    return compile_entries(entries, EntryType(kind), case_insensitive=fold)


@pytest.mark.parametrize(
    ("kind", "entry", "on", "off"),
    [
        ("literal", "ann", ["ann"], ["Ann", "anna", "", "an"]),
        ("prefix", "/api/", ["/api/", "/api/x"], ["/api", "/API/x", "x/api/", ""]),
        ("regex", "b[ou]t", ["a bot", "but"], ["BOT", "bt", ""]),
        ("regex", "^b[ou]t$", ["bot"], ["a bot", "bots"]),
        ("cidr", "10.1.0.0/16", ["10.1.2.3", b"\x0a\x01\xff\xff"], ["10.2.0.0", "", "10.1.2"]),
        ("cidr", "10.1.2.3", ["10.1.2.3"], ["10.1.2.4", "010.1.2.3", "10.1.2.3\0", "10.1.2.3 "]),
        ("cidr", "2001:db8::/33", ["2001:db8:7fff::1"], ["2001:db8:8000::1", "10.0.0.1"]),
    ],
)
def test_a_value_is_on_the_list_or_not(
    kind: str, entry: str, on: list[str | bytes], off: list[str | bytes]
) -> None:
    entries = of(kind, entry)
    assert [value for value in on if not entries.matches(value)] == []
    assert [value for value in off if entries.matches(value)] == []
    assert {entries.entry(value) for value in on} == {entry}
    assert {entries.entry(value) for value in off} == {None}


@pytest.mark.parametrize("kind", EntryType)
def test_nothing_is_on_an_empty_list(kind: str) -> None:
    entries = of(kind)
    for value in ("", "a", "10.0.0.1", b"\0\0\0\0", b""):
        assert not entries.matches(value)


@pytest.mark.parametrize("kind", ["literal", "prefix", "regex"])
def test_case_counts_unless_it_is_said_not_to(kind: str) -> None:
    assert not of(kind, "Straße").matches("sTRASSE")
    assert of(kind, "ÉCOLE", fold=True).matches("école")
    assert of(kind, "Ann", fold=True).matches("aNN")
    if kind != "regex":  # RE2 folds letter by letter
        assert of(kind, "Straße", fold=True).matches("sTRASSE")


@pytest.mark.parametrize("kind", ["literal", "prefix", "regex"])
@pytest.mark.parametrize("fold", [False, True])
def test_a_text_written_in_two_ways_is_one(kind: str, fold: bool) -> None:
    composed = "caf\u00e9"
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    assert of(kind, composed, fold=fold).matches(decomposed)
    assert of(kind, decomposed, fold=fold).matches(composed)


@pytest.mark.parametrize("kind", ["literal", "prefix", "regex"])
def test_a_text_that_only_looks_the_same_is_another(kind: str) -> None:
    assert not of(kind, "p\u0430ypal").matches("paypal")


@pytest.mark.parametrize(
    ("entries", "notes"),
    [
        (["p\u0430ypal"], ["/entries/0 mixes Cyrillic and Latin letters"]),
        (["ok", "\uff41nn"], ["/entries/1 has U+FF41, which looks like 'a'"]),
        (["a", "b", "a"], ["/entries/2 repeats /entries/0"]),
        (["e\u0301", "\u00e9"], ["/entries/1 repeats /entries/0"]),
        (["ann", "Ann", "naïve", "日本 Tokyo"], []),
    ],
)
def test_what_deceives_or_repeats_is_noted(entries: list[str], notes: list[str]) -> None:
    assert of("literal", *entries).notes == tuple(notes)


def test_what_folds_to_the_same_repeats() -> None:
    assert of("literal", "ann", "Ann", fold=True).notes == ("/entries/1 repeats /entries/0",)


def test_notes_are_few() -> None:
    assert len(of("literal", *["a"] * 1000).notes) == MAX_NOTES


def test_an_ipv4_address_inside_ipv6_is_the_ipv4_address() -> None:
    entries = of("cidr", "10.0.0.0/8")
    mapped = "::ffff:10.1.2.3"
    assert entries.matches(mapped)
    assert entries.matches(ipaddress.ip_address(mapped).packed)
    assert of("cidr", "::ffff:10.0.0.0/104").matches("10.1.2.3")


def test_all_of_ipv6_is_not_ipv4() -> None:
    entries = of("cidr", "::/0")
    assert entries.matches("2001:db8::1")
    assert not entries.matches("10.0.0.1")
    assert not entries.matches("::ffff:10.0.0.1")
    assert not of("cidr", "0.0.0.0/0").matches("2001:db8::1")


def test_bits_beyond_the_prefix_do_not_count() -> None:
    assert of("cidr", "10.1.2.3/8").matches("10.200.0.1")


def test_of_several_entries_the_widest_answers() -> None:
    assert of("cidr", "10.1.0.0/16", "10.0.0.0/8").entry("10.1.2.3") == "10.0.0.0/8"
    assert of("prefix", "/api/v1", "/api").entry("/api/v1/x") == "/api"
    assert of("regex", "z", "b", "a").entry("ab") == "b"


def test_an_address_is_on_a_list_of_texts_as_it_is_written() -> None:
    assert of("literal", "10.1.2.3").matches(b"\x0a\x01\x02\x03")
    assert of("prefix", "2001:db8:", fold=True).matches(ipaddress.ip_address("2001:db8::1").packed)


def test_expressions_of_every_set_are_found() -> None:
    entries = of("regex", *(f"^/{number}$" for number in range(SET_SIZE * 2 + 5)))
    for number in (0, SET_SIZE - 1, SET_SIZE, SET_SIZE * 2 + 4):
        assert entries.entry(f"/{number}") == f"^/{number}$"
    assert not entries.matches(f"/{SET_SIZE * 2 + 5}")


@pytest.mark.parametrize("kind", ["literal", "prefix", "regex"])
def test_a_value_that_is_no_unicode_text_is_only_not_on_the_list(kind: str) -> None:
    assert not of(kind, "é").matches("\udcff")
    assert not of(kind, "é", fold=True).matches("\udcff")


@pytest.mark.parametrize(
    ("kind", "entries", "place", "reason"),
    [
        ("literal", ["a", ""], "/entries/1", "is empty"),
        ("literal", ["a", 1], "/entries/1", "expected a string"),
        ("literal", ["a", None], "/entries/1", "expected a string"),
        ("literal", ["a\u200bb"], "/entries/0", "holds U+200B, which cannot be seen"),
        ("prefix", ["a\n"], "/entries/0", "holds U+000A, which cannot be seen"),
        ("literal", ["\ud800"], "/entries/0", "holds U+D800, which cannot be seen"),
        (
            "literal",
            ["x" * (MAX_CHARACTERS + 1)],
            "/entries/0",
            f"longer than {MAX_CHARACTERS} characters",
        ),
        (
            "literal",
            ["x"] * (MAX_ENTRIES + 1),
            "/entries",
            f"{MAX_ENTRIES + 1} entries, at most {MAX_ENTRIES}",
        ),
        (
            "literal",
            ["x" * MAX_CHARACTERS] * (MAX_BYTES // MAX_CHARACTERS + 1),
            "/entries",
            f"{MAX_BYTES + MAX_CHARACTERS} bytes, at most {MAX_BYTES}",
        ),
        ("regex", ["a", "("], "/entries/1", "not a regular expression of RE2: missing ): ("),
        ("regex", ["(?=a)"], "/entries/0", "not a regular expression of RE2: invalid perl"),
        ("regex", ["(((a{100}){100}){100}){100}"], "/entries/0", "not a regular expression of RE2"),
        ("regex", ["(.*)+a.{100}x"] * 1000, "/entries", "expressions 0 to 999 together need more"),
        ("cidr", ["10.0.0.0/8", "10.0.0"], "/entries/1", "expected an address or a network"),
        ("cidr", ["10.0.0.0/33"], "/entries/0", "expected an address or a network"),
        ("cidr", ["example.com"], "/entries/0", "expected an address or a network"),
        ("cidr", ["10.0.0.0/255.0.0.0"], "/entries/0", "expected an address or a network"),
        ("cidr", ["10.0.0.0/"], "/entries/0", "expected an address or a network"),
        ("cidr", ["fe80::1%eth0"], "/entries/0", "expected an address or a network"),
    ],
)
def test_what_can_be_no_entry_is_refused_with_its_place(
    kind: str, entries: list[object], place: str, reason: str
) -> None:
    with pytest.raises(InvalidRule) as refused:
        of(kind, *entries)
    assert refused.value.place == place
    assert refused.value.reason.startswith(reason)


def test_lists_made_of_the_same_are_equal() -> None:
    assert of("literal", "ann") == of("literal", "ann")
    assert hash(of("literal", "ann")) == hash(of("literal", "ann"))
    for other in (
        of("prefix", "ann"),
        of("literal", "bob"),
        of("literal", "ann", fold=True),
        "ann",
    ):
        assert of("literal", "ann") != other


def test_addresses_have_no_case() -> None:
    with pytest.raises(InvalidRule, match="/case_insensitive"):
        of("cidr", "10.0.0.0/8", fold=True)


SHORT = st.text("ab\u00e9A", min_size=1, max_size=4)


@given(st.lists(SHORT, max_size=12), SHORT, st.booleans())
def test_prefixes_agree_with_trying_each(entries: list[str], value: str, fold: bool) -> None:
    tried = any(
        value.casefold().startswith(entry.casefold()) if fold else value.startswith(entry)
        for entry in entries
    )
    assert of("prefix", *entries, fold=fold).matches(value) == tried


V4 = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: ipaddress.IPv4Network(pair, strict=False)
)
V6 = st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(
    lambda pair: ipaddress.IPv6Network(pair, strict=False)
)


def unmapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Any:
    return getattr(address, "ipv4_mapped", None) or address


def unmapped_network(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Any:
    first, last = unmapped(network.network_address), unmapped(network.broadcast_address)
    if network.version == first.version or first.version != last.version:
        return network
    return ipaddress.ip_network((first, network.prefixlen - 96))


@given(st.lists(V4 | V6, max_size=12), st.data())
def test_networks_agree_with_trying_each(
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network], data: st.DataObject
) -> None:
    edges = [
        address
        for network in networks
        for address in (network.network_address, network.broadcast_address)
    ]
    near = st.tuples(st.sampled_from(edges), st.integers(-1, 1)) if edges else st.nothing()
    address = data.draw(
        st.ip_addresses()
        | near.map(lambda pair: type(pair[0])(min(max(int(pair[0]) + pair[1], 0), 2**32 - 1)))
    )
    tried = any(unmapped(address) in unmapped_network(network) for network in networks)
    assert of("cidr", *map(str, networks)).matches(str(address)) == tried
    assert of("cidr", *map(str, networks)).matches(address.packed) == tried


def test_a_held_list_is_the_same_for_all_who_ask() -> None:
    lists = HeldLists()
    asked = lists.of("vips")
    lists.of("vips").entries = of("literal", "ann")
    assert (asked.matches("ann"), asked.matches("bob"), asked.unanswered) == (True, False, 0)
    assert [held.name for held in lists.all()] == ["vips"]


def test_a_list_that_is_not_there_gives_no_answer_and_counts_that() -> None:
    asked = HeldLists().of("vips")
    assert (asked.matches("ann"), asked.matches("bob"), asked.unanswered) == (None, None, 2)
