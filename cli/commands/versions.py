"""Versions of the rule set from a terminal: which there were, what differs, and the way back."""

from typing import Annotated, Any

import typer

from cli.commands.rules import Name, call, show
from cli.table import table

AsJson = Annotated[bool, typer.Option("--json", help="the answer as the API gives it")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="at most so many, the newest first")]
Version = Annotated[int, typer.Argument(min=0, help="of the whole set of rules")]


def versions(limit: Limit = 20, as_json: AsJson = False) -> None:
    """What versions of the rule set there were: when, by whom, and what changed."""
    found = call("GET", f"/versions?limit={limit}")
    if as_json:
        show(found)
        return
    heads = ("version", "time", "actor", "action", "changed", "reason")
    print(table(heads, [
        (each["version"], each["time"] or "", each["actor"], each["action"], touched(each),
         each["reason"])
        for each in found
    ]))  # fmt: skip


def touched(version: dict[str, Any]) -> str:
    names = [f"{each['change']} {each['name']}" for each in version["touched"]]
    more = version["changes"] - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def diff(version: Version, other: Version, as_json: AsJson = False) -> None:
    """What leads from one version of the rule set to another."""
    found = call("GET", f"/versions/{version}/diff/{other}")
    if as_json:
        show(found)
        return
    for each in found:
        print(f"{each['change']} {each['resource']} {each['name']}")
        for field in each["fields"]:
            print(f"  {field['place']}: {field['before']!r} -> {field['after']!r}")


def rollback(
    version: Version, reason: Annotated[str, typer.Option(help="why, for the audit log")]
) -> None:
    """Make the rule set as it was at a version: all of it or nothing, as a new version."""
    show(call("POST", f"/versions/{version}/rollback", {"reason": reason}))


def audit(limit: Limit = 20, as_json: AsJson = False) -> None:
    """Who did what, to what, and why."""
    found = call("GET", f"/audit?limit={limit}")
    if as_json:
        show(found)
        return
    heads = ("time", "actor", "from", "action", "what", "name", "version", "reason")
    print(table(heads, [
        (each["time"], each["actor"], each["peer"], each["action"], each["resource"], each["name"],
         "" if each["version"] is None else each["version"], each["reason"])
        for each in found
    ]))  # fmt: skip


def shadow(name: Name) -> None:
    """Evaluate and record a rule beside those in force; it decides nothing."""
    show(call("POST", f"/rules/{name}/shadow"))
