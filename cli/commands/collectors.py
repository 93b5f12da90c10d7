"""`meshmeter collectors`: who lives, and which rules each runs."""

from typing import Annotated

import typer

from cli.commands.rules import call, show
from cli.table import table

HEADS = ("host", "id", "version", "rules", "behind s", "ready", "counters", "store", "started")


def collectors(
    as_json: Annotated[bool, typer.Option("--json", help="the answer as the API gives it")] = False,
) -> None:
    """All collectors that live, and which rules each runs."""
    found = call("GET", "/collectors")
    if as_json:
        show(found)
        return
    rows = [
        (each["host"], each["id"], each["version"], each["snapshot_version"],
         f"{each['behind_s']:.1f}" if each["behind"] else "-", ready(each["not_ready"]),
         each["counters"] or "ok", each["store"] or "ok", each["started_at"])
        for each in found["collectors"]
    ]  # fmt: skip
    print(table(HEADS, rows))
    print(f"the newest rules are version {found['newest']}; {found['live']} collectors live")
    if not found["complete"]:
        print(f"the others are not known: {found['why']}")


def ready(not_ready: dict[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in not_ready.items()) or "yes"
