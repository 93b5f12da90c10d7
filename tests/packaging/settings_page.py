"""Writes docs/settings.md from the settings: `python -m tests.packaging.settings_page`."""

from dataclasses import fields
from pathlib import Path

from collector.settings import PREFIX, Settings

HEAD = """# Settings

Every process reads its settings from the environment when it starts; `meshmeter settings` prints
them with their present values. Times are in seconds and sizes in bytes.

| variable | type | default | meaning |
|---|---|---|---|
"""


def page() -> str:
    rows = [
        f"| `{PREFIX}{entry.name.upper()}` | {entry.type.__name__} | `{entry.default}` "
        f"| {entry.metadata['help']} |\n"
        for entry in fields(Settings)
    ]
    return HEAD + "".join(rows).replace("| `` |", "| |")


if __name__ == "__main__":
    (Path(__file__).parents[2] / "docs/settings.md").write_text(page())
