"""A disk that is filled takes no byte more until it is emptied, and nobody else sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# In a process of its own: a disk changes what its process sees mounted.
FILL = """
import json, os, pathlib, sys
from chaos.disk import CannotMount, Disk
directory = pathlib.Path(sys.argv[1])
at = directory / "at"
try:
    disk = Disk(directory / "image", at)
except CannotMount as reason:
    sys.exit(f"no disk can be filled here: {reason}")
def written():
    try:
        (at / "more").write_bytes(bytes(70_000))
    except OSError as error:
        return os.strerror(error.errno)
    return ""
said = {"kind": disk.kind, "first": written()}
disk.fill()
(at / "more").unlink()
disk.fill()
said |= {"full": disk.full, "then": written()}
disk.empty()
said |= {"emptied": not disk.full, "last": written()}
disk.close()
print(json.dumps(said))
"""
LESS = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]  # as if not root


def told(directory: Path, *before: str) -> dict[str, Any]:
    """Empty where it cannot be done."""
    words = [*before, sys.executable, "-c", FILL, str(directory)]
    ended = subprocess.run(words, capture_output=True, text=True)
    if ended.stderr.startswith("no disk can be filled here"):  # neither root nor namespaces
        print(ended.stderr)
        return {}
    assert ended.returncode == 0, ended.stderr
    assert list((directory / "at").iterdir()) == []
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("before", [[], LESS], ids=["as it is", "without root"])
def test_a_full_disk_takes_nothing_until_it_is_emptied(tmp_path, before):
    found = told(tmp_path, *before if os.getuid() == 0 else [])
    full = "No space left on device"
    assert not found or found == {
        "kind": "ext4" if os.getuid() == 0 and not before else "tmpfs",
        "first": "", "full": True, "then": full, "emptied": True, "last": "",
    }  # fmt: skip
