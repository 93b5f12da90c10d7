"""Where lists may come from: which addresses, and below which directory.

Whoever may write rules chooses URLs that every collector then asks, from inside the network. So a
URL reaches public addresses only, and those networks that the operator names. The addresses at
which clouds tell machines their secrets are never asked, nor any other of the link.
"""

import ipaddress
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from collector.errors import InvalidSetting
from collector.lists.source import MAX_BYTES, Fetched, SourceFailed, Tag
from policy.errors import InvalidRule
from policy.lists import NamedList

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Metadata services outside of the link-local networks: of Alibaba, Azure, AWS and Google.
METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"),
    )
)
TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last four bytes are IPv4
MEDIA_TYPES = {
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


@dataclass(frozen=True)
class Places:
    """`networks`: what may be fetched from besides public addresses. `directory`: of files, or
    None when there are to be none."""

    networks: tuple[Network, ...] = ()
    directory: Path | None = None

    @classmethod
    def named(cls, networks: str, directory: str) -> Self:
        """Of the settings. Raises InvalidSetting."""
        return cls(parsed(networks), Path(directory) if directory else None)

    def check(self, named: NamedList) -> None:
        """Raises InvalidRule for a source of which it is plain that it cannot be used here."""
        if named.file is not None and self.directory is None:
            raise InvalidRule("/file", "lists may not be files here: MESHMETER_LISTS_DIR is empty")
        address = literal(named.url) if named.url is not None else None
        if address and (refusal := self.refusal(address)):
            raise InvalidRule("/url", refusal)

    def refusal(self, address: Address) -> str:
        """Why this address may not be asked; "" when it may."""
        address = embedded(address)
        if address in METADATA or address.is_link_local:
            return f"{address} is for the machine itself and is never asked for a list"
        if address.is_multicast or address.is_unspecified:
            return f"{address} is no address of one machine"
        if public(address) or any(address in network for network in self.networks):
            return ""
        return f"{address} is not public, and in no network of MESHMETER_LISTS_NETWORKS"

    def read(self, file: str, known: Tag) -> Fetched | None:
        """None when the file is as it was `known`. Raises SourceFailed."""
        if self.directory is None:
            raise SourceFailed("MESHMETER_LISTS_DIR is empty")
        try:
            directory = self.directory.resolve(strict=True)
            path = (directory / file).resolve(strict=True)
            if not path.is_relative_to(directory):
                raise SourceFailed("leads out of MESHMETER_LISTS_DIR")
            return read_regular(path, known)
        except OSError as error:
            raise SourceFailed(f"cannot be read: {error.strerror}") from error


def parsed(networks: str) -> tuple[Network, ...]:
    try:
        return tuple(
            ipaddress.ip_network(text.strip()) for text in networks.split(",") if text.strip()
        )
    except ValueError as error:
        raise InvalidSetting(f"MESHMETER_LISTS_NETWORKS: {error}") from error


def literal(url: str) -> Address | None:
    """The address that a URL names instead of a host."""
    try:
        return ipaddress.ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return None


def public(address: Address) -> bool:
    local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not address.is_reserved and not local


def embedded(address: Address) -> Address:
    """The IPv4 address that is reached by way of this one, if one is."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in TRANSLATED:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or address


def read_regular(path: Path, known: Tag) -> Fetched | None:
    """Raises OSError, and SourceFailed for what is no file or too long."""
    # Without O_NONBLOCK a pipe would be waited for.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as opened:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise SourceFailed("is no regular file")
        tag = Tag(f"{about.st_mtime_ns:x}-{about.st_ino:x}-{about.st_size:x}")
        if tag == known:
            return None
        body = opened.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise SourceFailed(f"more than {MAX_BYTES} bytes")
    return Fetched(body, False, media_type_of(path.suffixes), tag)


def media_type_of(suffixes: Sequence[str]) -> str:
    return MEDIA_TYPES.get(suffixes[-1].lower() if suffixes else "", "text/plain")
