"""Wall clocks of single processes that can be stepped while they run, by a preloaded library."""

import subprocess
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path

SOURCE = files("chaos").joinpath("wall_clock.c")
WIDTH = 8  # bytes of the seconds a clock is moved by


class CannotStep(Exception):
    """There is no C compiler that could make the library."""


class Clocks:
    """One for each name, told right at first. Raises CannotStep."""

    def __init__(self, directory: Path, names: Sequence[str]) -> None:
        self._library = built(directory)
        self._files = {name: directory / f"{name}.clock" for name in names}
        self._moved = dict.fromkeys(names, 0)
        for name in names:
            self.move(name, 0)

    def moved_s(self, name: str) -> int:
        return self._moved[name]

    def move(self, name: str, seconds: int) -> None:
        """From the right time; at once."""
        self._moved[name] = seconds
        # Not a new file in its place: the process has this one mapped.
        self._files[name].touch()
        with self._files[name].open("r+b") as file:
            file.write(seconds.to_bytes(WIDTH, "little", signed=True))

    def environ(self, name: str) -> Mapping[str, str]:
        """What a process is to be started with."""
        return {"LD_PRELOAD": str(self._library), "MOVED_CLOCK": str(self._files[name])}


def built(directory: Path) -> Path:
    """Raises CannotStep."""
    directory.mkdir(parents=True, exist_ok=True)
    library = (directory / "wall_clock.so").absolute()
    with as_file(SOURCE) as source:
        words = ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"]
        try:
            subprocess.run(words, check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise CannotStep("there is no C compiler, cc") from error
        except subprocess.CalledProcessError as error:
            raise CannotStep(f"cc: {error.stderr.strip()}") from error
    return library
