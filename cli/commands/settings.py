"""`meshmeter settings`: what can be set, and what is."""

import os
from dataclasses import fields

from collector.settings import PREFIX, SECRETS, Settings, shown


def settings() -> None:
    """Print every setting with its present value, unit and meaning."""
    present = Settings.from_environ(os.environ)
    for entry in fields(Settings):
        value = getattr(present, entry.name)
        text = "(set)" if entry.name in SECRETS and value else shown(str(value))
        print(f"{PREFIX}{entry.name.upper()}={text}\n    {entry.metadata['help']}")
