"""`meshmeter quotas`: who uses how much of a quota, giving some of it back, promoting its draft."""

from typing import Annotated

import typer

from cli.commands.rules import call, show
from cli.table import table

app = typer.Typer(
    help="See what is used of quotas, take it back, and promote drafts.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="the quota's name")]
Key = Annotated[
    list[str] | None,
    typer.Option(help="a value of each dimension, in the rule's order; once for each"),
]
Reason = Annotated[str, typer.Option(help="why, for the audit log")]
AsJson = Annotated[bool, typer.Option("--json", help="the answer as the API gives it")]


@app.command()
def usage(
    name: Name,
    top: Annotated[int, typer.Option(min=1, max=1000, help="at most so many")] = 20,
    as_json: AsJson = False,
) -> None:
    """Who uses most of it."""
    found = call("GET", f"/quotas/{name}/usage?top={top}")
    if as_json:
        show(found)
        return
    heads = ("key", "limit of", "used", "in advance", "limit", "remaining", "whole in s")
    rows = [
        (each["key"], each["limit_id"], each["used"], each["leased"], each["limit"],
         each["remaining"], -(-each["reset_us"] // 1_000_000))
        for each in found["consumers"]
    ]  # fmt: skip
    print(table(heads, rows))
    if not found["complete"]:
        print("there are more counters than were looked at")


@app.command()
def reset(name: Name, reason: Reason, key: Key = None) -> None:
    """Forget what one consumer used."""
    show(call("POST", f"/quotas/{name}/reset", {"key": key or [], "reason": reason}))


@app.command()
def grant(
    name: Name,
    amount: Annotated[int, typer.Argument(min=1, help="to give back, at most all that is used")],
    reason: Reason,
    key: Key = None,
) -> None:
    """Give back some of what one consumer used."""
    body = {"key": key or [], "amount": amount, "reason": reason}
    show(call("POST", f"/quotas/{name}/grant", body))


@app.command()
def promote(name: Name) -> None:
    """Make the draft the limit in force, and the draft none."""
    show(call("POST", f"/quotas/{name}/promote"))
