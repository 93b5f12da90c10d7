"""Where lists may come from."""

import ipaddress
import os
from pathlib import Path
from typing import Any

import pytest

from collector.errors import InvalidSetting
from collector.lists import Places
from collector.lists.source import MAX_BYTES, SourceFailed, Tag
from policy.errors import InvalidRule
from policy.lists import NamedList, list_from_json

NOWHERE = Places()
INSIDE = Places.named("10.0.0.0/8, fd00::/8,127.0.0.0/8", "")


def refused(address: str, places: Places = NOWHERE) -> bool:
    return bool(places.refusal(ipaddress.ip_address(address)))


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808"])
def test_public_addresses_may_be_asked(address: str) -> None:
    assert not refused(address)


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "::1", "fd00::1",
        "::ffff:10.1.2.3", "2002:a01:203::1", "64:ff9b::a01:203", "192.0.2.1", "198.18.0.1",
        "240.0.0.1", "255.255.255.255", "fec0::1", "2001:db8::1", "::a01:203",
    ],
)  # fmt: skip
def test_others_may_not_unless_their_network_is_named(address: str) -> None:
    assert refused(address)
    assert not refused(address, Places.named("0.0.0.0/0,::/0", ""))


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.0.1", "fe80::1", "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "100.100.100.200", "168.63.129.16",
        "fd00:ec2::254", "fd20:ce::254", "224.0.0.1", "ff02::1", "0.0.0.0", "::",
    ],
)  # fmt: skip
def test_some_may_never(address: str) -> None:
    assert refused(address)
    assert refused(address, Places.named("0.0.0.0/0,::/0", ""))


def test_networks_are_named_by_comma() -> None:
    for address in ("10.1.2.3", "127.0.0.1", "fd00::1", "::ffff:10.1.2.3"):
        assert not refused(address, INSIDE)
    assert refused("192.168.1.1", INSIDE)


@pytest.mark.parametrize("networks", ["10.0.0.0/33", "here", "10.0.0.1/8"])
def test_a_network_that_is_none_stops_the_start(networks: str) -> None:
    with pytest.raises(InvalidSetting, match="MESHMETER_LISTS_NETWORKS"):
        Places.named(networks, "")


def named(**source: Any) -> NamedList:
    return list_from_json({"name": "vips", "entry_type": "literal", **source})


def test_a_source_that_can_plainly_not_be_used_is_refused() -> None:
    with pytest.raises(InvalidRule, match="/file: lists may not be files here"):
        NOWHERE.check(named(file="a.txt"))
    with pytest.raises(InvalidRule, match=r"/url: 169\.254\.169\.254 is for the machine"):
        INSIDE.check(named(url="http://169.254.169.254/latest"))
    with pytest.raises(InvalidRule, match="/url: fe80::1 is for the machine"):
        INSIDE.check(named(url="http://[fe80::1]/"))
    with pytest.raises(InvalidRule, match="MESHMETER_LISTS_NETWORKS"):
        NOWHERE.check(named(url="http://10.1.2.3/"))


def test_a_source_that_may_be_used_is_not_refused(tmp_path: Path) -> None:
    INSIDE.check(named(url="http://10.1.2.3/"))
    NOWHERE.check(named(url="https://lists.example/"))
    NOWHERE.check(named(entries=["ann"]))
    Places((), tmp_path).check(named(file="a.txt"))


def read(directory: Path, file: str, known: Tag | None = None) -> tuple[bytes, str] | None:
    found = Places((), directory).read(file, known or Tag())
    return (found.body, found.media_type) if found else None


@pytest.mark.parametrize(
    ("file", "media_type"),
    [
        ("a.txt", "text/plain"),
        ("team/a", "text/plain"),
        ("a.json", "application/json"),
        ("a.b.YAML", "application/yaml"),
        ("a.yml", "application/yaml"),
    ],
)
def test_a_file_is_read_and_its_name_says_the_format(
    tmp_path: Path, file: str, media_type: str
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("ann")
    assert read(tmp_path, file) == (b"ann", media_type)


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("ann")
    found = Places((), tmp_path).read("a.txt", Tag())
    assert found is not None
    assert read(tmp_path, "a.txt", found.tag) is None
    file.with_suffix(".new").write_text("bob")
    file.with_suffix(".new").replace(file)
    assert read(tmp_path, "a.txt", found.tag) == (b"bob", "text/plain")


def test_a_file_elsewhere_is_not_read(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (tmp_path / "secret").write_text("secret")
    (lists / "link").symlink_to(tmp_path / "secret")
    (lists / "up").symlink_to(tmp_path)
    for file in ("link", "up/secret", "../secret"):
        with pytest.raises(SourceFailed, match="leads out of MESHMETER_LISTS_DIR"):
            read(lists, file)


def test_a_link_that_stays_below_the_directory_is_followed(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "a.txt").write_text("ann")
    (tmp_path / "a.txt").symlink_to("..data/a.txt")
    assert read(tmp_path, "a.txt") == (b"ann", "text/plain")


def test_what_is_no_readable_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    with (tmp_path / "big").open("wb") as big:
        big.truncate(MAX_BYTES + 1)
    for file, reason in (
        ("none", "cannot be read: No such file or directory"),
        ("pipe", "is no regular file"),
        ("directory", "cannot be read: Is a directory"),
        ("big", f"more than {MAX_BYTES} bytes"),
    ):
        with pytest.raises(SourceFailed, match=reason):
            read(tmp_path, file)
    with pytest.raises(SourceFailed, match="MESHMETER_LISTS_DIR is empty"):
        NOWHERE.read("a", Tag())
    with pytest.raises(SourceFailed, match="cannot be read: No such file or directory"):
        read(tmp_path / "none", "a")
