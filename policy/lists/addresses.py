"""Networks and addresses by a binary search, IPv4 and IPv6 apart.

An IPv4 address written inside IPv6 (::ffff:10.0.0.1) is that IPv4 address, in entries and values.
"""

import socket
from bisect import bisect_right
from collections.abc import Callable, Sequence

from policy.errors import InvalidRule

MAPPED = b"\0" * 10 + b"\xff\xff"  # what an IPv4 address begins with inside IPv6


class Ranges:
    """Networks, none inside another: only the last one not above an address can hold it."""

    __slots__ = ("_first", "_indices", "_last")

    def __init__(self, networks: Sequence[tuple[bytes, bytes, int]]) -> None:
        """First and last address, and what to answer. Of a network in another, the wider stays."""
        self._first: list[bytes] = []
        self._last: list[bytes] = []
        self._indices: list[int] = []
        for first, last, index in sorted(networks, key=wider_first):
            if not self._last or last > self._last[-1]:
                self._first.append(first)
                self._last.append(last)
                self._indices.append(index)

    def find(self, address: bytes) -> int:
        at = bisect_right(self._first, address) - 1
        return self._indices[at] if at >= 0 and address <= self._last[at] else -1


def wider_first(network: tuple[bytes, bytes, int]) -> tuple[bytes, int, int]:
    first, last, index = network
    return first, -int.from_bytes(last, "big"), index


def find_address(entries: Sequence[str], _case_insensitive: bool) -> Callable[[str | bytes], int]:
    """Raises InvalidRule. Bits beyond the prefix do not count: 10.1.2.3/8 is 10.0.0.0/8."""
    short: list[tuple[bytes, bytes, int]] = []
    long: list[tuple[bytes, bytes, int]] = []
    for index, entry in enumerate(entries):
        try:
            first, last = ends(entry)
        except ValueError as error:
            raise InvalidRule(f"/entries/{index}", str(error)) from error
        (short if len(first) == 4 else long).append((first, last, index))
    find_short, find_long = Ranges(short).find, Ranges(long).find

    def find(value: str | bytes) -> int:
        address = packed(value) if isinstance(value, str) else value
        match len(address):
            case 4:
                return find_short(address)
            case 16:
                return (
                    find_short(address[12:]) if address.startswith(MAPPED) else find_long(address)
                )
        return -1

    return find


def ends(entry: str) -> tuple[bytes, bytes]:
    """A network's first and last address. Raises ValueError."""
    text, slash, length = entry.partition("/")
    address = packed(text)
    bits = len(address) * 8
    prefix = bits
    if slash:
        prefix = int(length) if length.isascii() and length.isdigit() and len(length) < 4 else -1
    if not address or not 0 <= prefix <= bits:
        raise ValueError('expected an address or a network such as "10.0.0.0/8" or "2001:db8::/32"')
    host = (1 << (bits - prefix)) - 1
    number = int.from_bytes(address, "big")
    first = (number & ~host).to_bytes(len(address), "big")
    last = (number | host).to_bytes(len(address), "big")
    if first.startswith(MAPPED) and last.startswith(MAPPED):
        return first[12:], last[12:]
    return first, last


def packed(text: str) -> bytes:
    """b"" for what is no address."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        return socket.inet_pton(family, text)
    except (OSError, ValueError):  # ValueError: a null character, or no ASCII
        return b""
