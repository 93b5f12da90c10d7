from datetime import UTC, datetime, timedelta, timezone

import pytest

from policy.expression.conversions import (
    dns_key,
    dns_name,
    email,
    email_key,
    ip,
    ip_key,
    timestamp,
    uri,
    uri_key,
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        ".a",
        "-a.b",
        "a-.b",
        "a b",
        "a/b",
        "a\x00b",
        "a" * 64,
        "a." * 127 + "aa",
        "é..a",
    ],
)
def test_a_bad_dns_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a DNS name"):
        dns_name(text)


def test_dns_names_are_equal_without_case_final_dot_and_script() -> None:
    assert dns_key("Foo.Bar.") == dns_key("foo.bar")
    assert dns_key("BÜCHER.example") == dns_key("xn--bcher-kva.example.")
    assert dns_key("foo.bar") != dns_key("foo.baz")
    assert dns_name("Foo.Bar.") == "Foo.Bar."


@pytest.mark.parametrize(
    "text", ["", "a", "a@", "@b", "a@b@c", "a b@c.d", "A <a@b.c>", "a@-b", '"a@b', "a..b@c", "a@b "]
)
def test_a_bad_email_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        email(text)


def test_email_addresses_are_equal_by_folded_domain_and_exact_local_part() -> None:
    assert email_key('"a.b"@Example.ORG') == email_key("a.b@example.org")
    assert email_key(r'"a\"b"@c.d') == ('a"b', "c.d")
    assert email_key("<a@b.c>") == email_key("a@b.c")
    assert email_key("A@b.c") != email_key("a@b.c")
    assert email("a@B.c") == "a@B.c"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":/",
        "1a:b",
        "http://a b/",
        "http://a:x/",
        "http://[::1/",
        "/a%zz",
        "/a\nb",
        "http://a:99999",
    ],
)
def test_a_bad_uri_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a URI"):
        uri(text)


def test_uris_are_equal_by_folded_scheme_and_web_host() -> None:
    assert uri_key("HTTP://u@Foo.Bar./A?q#f") == uri_key("http://u@foo.bar/A?q#f")
    assert uri_key("http://a/b") != uri_key("http://a/B")
    assert uri_key("http://a") != uri_key("http://a:80")
    assert uri_key("http://a") != uri_key("https://a")
    assert uri_key("urn:Foo") == uri_key("URN:Foo")
    assert uri_key("urn:Foo") != uri_key("urn:foo")
    assert uri_key("/a/b:c") != uri_key("/a")
    assert uri("http://A") == "http://A"


def test_an_ip_address_has_sixteen_bytes_and_is_compared_in_the_shorter_form() -> None:
    assert ip("10.1.2.3") == bytes(10) + b"\xff\xff\x0a\x01\x02\x03"
    assert ip_key(ip("10.1.2.3")) == b"\x0a\x01\x02\x03"
    assert ip("::1") == bytes(15) + b"\x01" == ip_key(ip("::1"))
    for text in ("", "10.1.2", "10.1.2.03", "fe80::1%eth0", "10.0.0.0/8"):
        with pytest.raises(ValueError, match="is not an IP address"):
            ip(text)


def test_a_timestamp_is_of_rfc_3339() -> None:
    assert timestamp("2015-01-02T15:04:35Z") == datetime(2015, 1, 2, 15, 4, 35, tzinfo=UTC)
    east = timezone(timedelta(hours=2))
    assert timestamp("2015-01-02T15:04:35.123456789+02:00") == datetime(
        2015, 1, 2, 15, 4, 35, 123456, east
    )
    for text in ("", "242233", "20150102T150435Z", "2015-01-02 15:04:35Z", "2015-13-02T15:04:35Z"):
        with pytest.raises(ValueError, match="is not a time such as"):
            timestamp(text)
