"""A network namespace of its own, as another machine would be: one cable leads to it."""

import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class CannotIsolate(Exception):
    """Neither root nor allowed to make network namespaces."""


class Namespace:
    """`host` is the address of this machine's end of the cable, `address` that of the other."""

    def __init__(self) -> None:
        mark = uuid.uuid4().hex[:8]
        self.name = f"mm-{mark}"
        self._cable, self._far = f"mm{mark}a", f"mm{mark}b"  # 15 characters at most
        # Of the block that RFC 2544 keeps for trials between devices.
        net = int(mark[:4], 16)
        prefix = f"198.{18 + net % 2}.{net >> 8}"
        self.host, self.address = f"{prefix}.{net % 63 * 4 + 1}", f"{prefix}.{net % 63 * 4 + 2}"

    @property
    def words(self) -> Sequence[str]:
        """Put before those of a command that is to run in it."""
        return ["ip", "netns", "exec", self.name]

    def make(self) -> None:
        """Raises CannotIsolate."""
        try:
            run("ip", "netns", "add", self.name)
        except subprocess.CalledProcessError as error:
            raise CannotIsolate(error.stderr.strip()) from error
        run("ip", "link", "add", self._cable, "type", "veth", "peer", "name", self._far)
        run("ip", "link", "set", self._far, "netns", self.name)
        run("ip", "address", "add", f"{self.host}/30", "dev", self._cable)
        run(*self.words, "ip", "address", "add", f"{self.address}/30", "dev", self._far)
        run("ip", "link", "set", self._cable, "up")
        for device in (self._far, "lo"):
            run(*self.words, "ip", "link", "set", device, "up")

    def unplug(self) -> None:
        """Nothing passes, and nobody is told."""
        run(*self.words, "ip", "link", "set", self._far, "down")

    def plug_in(self) -> None:
        run(*self.words, "ip", "link", "set", self._far, "up")

    def remove(self) -> None:
        subprocess.run(["ip", "link", "delete", self._cable], capture_output=True)
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Raises CannotIsolate."""
    made = Namespace()
    try:
        made.make()
        yield made
    finally:
        made.remove()
