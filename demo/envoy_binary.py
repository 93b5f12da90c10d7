"""Where the Envoy program is."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from collector.errors import InvalidSetting

VARIABLE = "MESHMETER_ENVOY"
HOME = Path(__file__).resolve().parent.parent
IN_WHEEL = "lib/python3*/site-packages/envoy/_bin/envoy"


def envoy_binary(environ: Mapping[str, str] = os.environ, home: Path = HOME) -> Path:
    """Of MESHMETER_ENVOY, else of `.venv-envoy` beside the program, else of PATH.

    Raises InvalidSetting when there is none.
    """
    if named := environ.get(VARIABLE):
        if os.access(named, os.X_OK):
            return Path(named)
        raise InvalidSetting(f"{VARIABLE}={named} is not a program")
    for found in sorted((home / ".venv-envoy").glob(IN_WHEEL)):
        return found
    if on_path := shutil.which("envoy", path=environ.get("PATH", "")):
        return Path(on_path)
    raise InvalidSetting(
        "no Envoy found: start the demo with `./meshmeter demo`, which installs one, "
        f"or set {VARIABLE} to an envoy program (1.40 or newer)"
    )
