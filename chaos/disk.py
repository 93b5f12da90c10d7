"""A small disk of its own for the outbox, which can be filled to the last byte and emptied again.

It is mounted where only this process and those it starts see it: whatever ends them, nothing is
left mounted.
"""

import ctypes
import errno
import os
import subprocess
from pathlib import Path

MIB = 1024 * 1024
SIZE_BYTES = 192 * MIB
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000  # linux/sched.h
LIBC = ctypes.CDLL(None, use_errno=True)


class CannotMount(Exception):
    """Neither root nor user namespaces, or no loop devices."""


class Disk:
    """An ext4 in an image file for root; for others, in a user namespace, a tmpfs.

    Made by a process that has no other threads yet. Raises CannotMount.
    """

    def __init__(self, image: Path, at: Path) -> None:
        at.mkdir(parents=True, exist_ok=True)
        self._at = at
        self._filler = at / "filler"
        if alone_with_mounts(user_too=False):
            self.kind = "ext4"
            with image.open("wb") as disk:
                disk.truncate(SIZE_BYTES)
            run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
            run("mount", "-o", "loop", str(image), str(at))
        elif alone_with_mounts(user_too=True):
            self.kind = "tmpfs"
            run("mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(at))
        else:
            raise CannotMount("neither root nor user namespaces")

    @property
    def full(self) -> bool:
        return self._filler.exists()

    def fill(self) -> None:
        """No byte is left, not even for root."""
        descriptor = os.open(self._filler, os.O_CREAT | os.O_WRONLY)
        try:
            size, step = 0, MIB
            while step >= 4096:
                try:
                    os.posix_fallocate(descriptor, size, step)
                    size += step
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    step //= 4
        finally:
            os.close(descriptor)

    def empty(self) -> None:
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        run("umount", str(self._at))


def alone_with_mounts(*, user_too: bool) -> bool:
    """From now on this thread, and what it starts, mount for themselves: false if they may not."""
    uid, gid = os.getuid(), os.getgid()
    if LIBC.unshare(CLONE_NEWNS | (CLONE_NEWUSER if user_too else 0)):
        return False
    if user_too:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    run("mount", "--make-rprivate", "/")
    return True


def run(*words: str) -> None:
    """Raises CannotMount."""
    try:
        subprocess.run(words, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise CannotMount(f"there is no {words[0]}") from error
    except subprocess.CalledProcessError as error:
        raise CannotMount(f"{' '.join(words[:3])}: {error.stderr.strip()}") from error
