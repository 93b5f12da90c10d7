"""Text to addresses, times, names and URIs, and the form in which two of them are compared.

Every function raises ValueError saying what the text is not.
Source: Mixer's dnsName, email, ip, timestamp and uri, which lean on Go's standard library.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from policy.attributes import ValueType

MAX_NAME = 254  # of a DNS name, with the dot at its end

# What dots part; names of other scripts are looked at by the idna codec besides.
LABEL = re.compile(r"(?!-)[A-Za-z0-9_\x80-\U0010ffff-]{1,63}(?<!-)")
RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII
)  # fmt: skip
MAILBOX = re.compile(
    r"""
    (?: (?P<atom> [^\s"(),.:;<>@\[\]\\]+ (?: \. [^\s"(),.:;<>@\[\]\\]+ )* )
      | " (?P<quoted> (?: [^"\\\r\n] | \\. )* ) " )
    @ (?P<domain> [^\s@]+ )
    """,
    re.VERBOSE,
)
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
UNREADABLE = re.compile(r"[\x00-\x1f\x7f]|^[^?]*%(?![0-9A-Fa-f]{2})")


def ip(text: str) -> bytes:
    """Sixteen bytes, also for an IPv4 address, as Go has it."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an IP address") from error
    if address.version == 4:
        return bytes(10) + b"\xff\xff" + address.packed
    if address.scope_id:
        raise ValueError(f"{text!r} is not an IP address: it has a zone")
    return address.packed


def timestamp(text: str) -> datetime:
    try:
        if not RFC_3339.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time such as 2006-01-02T15:04:05Z") from error


def dns_name(text: str) -> str:
    dns_key(text)
    return text


def email(text: str) -> str:
    email_key(text)
    return text


def uri(text: str) -> str:
    uri_key(text)
    return text


def ip_key(packed: bytes) -> bytes:
    """Four bytes for an IPv4 address in either form."""
    mapped = ipaddress.IPv6Address(packed).ipv4_mapped if len(packed) == 16 else None
    return mapped.packed if mapped else packed


def dns_key(text: str) -> str:
    """Without regard to case and to one dot at the end; other scripts as their ASCII form."""
    name = text.removesuffix(".")
    if len(name) < MAX_NAME and all(map(LABEL.fullmatch, name.split("."))):
        try:
            return (name if name.isascii() else name.encode("idna").decode()).lower()
        except UnicodeError as error:
            raise ValueError(f"{text!r} is not a DNS name: {error}") from error
    raise ValueError(f"{text!r} is not a DNS name")


def email_key(text: str) -> tuple[str, str]:
    """The local part as it is, out of its quotes, and the folded domain."""
    inner = text[1:-1] if text.startswith("<") and text.endswith(">") else text
    found = MAILBOX.fullmatch(inner)
    if found is None:
        raise ValueError(f"{text!r} is not an e-mail address without a display name")
    atom, quoted, domain = found.groups()
    return atom or re.sub(r"\\(.)", r"\1", quoted), dns_key(domain)


def uri_key(text: str) -> tuple[object, ...]:
    """The scheme folded and, for http and https, the host; all else to the letter."""
    scheme = SCHEME.match(text)
    try:
        if not text or UNREADABLE.search(text):
            raise ValueError("it is empty or has control characters or half an escape")
        if scheme is None and ":" in re.split(r"[/?#]", text, maxsplit=1)[0]:
            raise ValueError("there is no scheme before the colon")
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        if re.search(r"\s", parts.netloc):
            raise ValueError("there is a space in the host")
    except ValueError as error:
        raise ValueError(f"{text!r} is not a URI: {error}") from error
    if parts.scheme not in ("http", "https"):
        return parts.scheme, text[scheme.end() :] if scheme else text
    user = parts.netloc.rpartition("@")[0]
    folded = host.removesuffix(".").lower()
    return parts.scheme, user, folded, port, parts.path, parts.query, parts.fragment


# Types of which two different values may be equal: what to compare instead.
KEYS: Mapping[ValueType, Callable[[Any], object]] = {
    ValueType.DNS_NAME: dns_key,
    ValueType.EMAIL_ADDRESS: email_key,
    ValueType.IP_ADDRESS: ip_key,
    ValueType.URI: uri_key,
}
