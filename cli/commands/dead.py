"""`meshmeter dead` and `meshmeter replay-dead`: what could not be stored."""

from base64 import b64decode
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from cli.commands.rules import call, show
from cli.table import table

app = typer.Typer(help="See and delete what could not be stored.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="the answer as the API gives it")]
Group = Annotated[int, typer.Argument(min=1, help="the number of a group in quarantine")]
Names = Annotated[
    list[str] | None, typer.Argument(help="numbers of groups in quarantine, ids of dead letters")
]
PAGE = 1000


@app.command("list")
def list_dead(
    minutes: Annotated[float, typer.Option(help="dead letters of the last so many")] = 1440.0,
    reason: Annotated[str, typer.Option(help="dead letters of this reason")] = "",
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="at most so many of each")] = 100,
    as_json: AsJson = False,
) -> None:
    """Groups in the collector's quarantine, and dead letters of all collectors."""
    groups = call("GET", f"/dead/groups?limit={limit}")
    asked = urlencode({"minutes": minutes, "reason": reason, "limit": limit})
    letters = call("GET", f"/dead/letters?{asked}")
    if as_json:
        show({"groups": groups, "letters": letters})
        return
    heads = ("group", "since", "reports", "items", "attempts", "reason")
    rows = [
        (each["group"], each["since"], each["reports"],
         sum(part["items"] for part in each["parts"]), each["attempts"], each["reason"])
        for each in groups
    ]  # fmt: skip
    print(table(heads, rows) if rows else "no group is in quarantine")
    letter_heads = ("letter", "signal", "client", "reason", "detail")
    letter_rows = [tuple(each[name] for name in ("id", *letter_heads[1:])) for each in letters]
    print(table(letter_heads, letter_rows) if letter_rows else "there are no dead letters")


@app.command("show")
def show_dead(
    name: Annotated[str, typer.Argument(help="the number of a group, or a letter's id")],
    raw: Annotated[
        bool, typer.Option(help="the letter's item as it was sent, nothing else")
    ] = False,
) -> None:
    """One group with its reports, or one letter with its item."""
    if name.isdigit():
        show(call("GET", f"/dead/groups/{name}"))
        return
    letter: dict[str, Any] = call("GET", f"/dead/letters/{name}")
    if raw:
        typer.get_binary_stream("stdout").write(b64decode(letter["item"]))
    else:
        show(letter)


@app.command("delete")
def delete_dead(group: Group) -> None:
    """Delete a group from quarantine for good: what was acknowledged is lost."""
    call("DELETE", f"/dead/groups/{group}")


def replay_dead(
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="all groups that are there now")] = False,
) -> None:
    """Have groups in quarantine, or dead letters, stored: each once, however often replayed."""
    if bool(names) == every:
        raise typer.BadParameter("name groups or dead letters, or say --all")
    wanted = names or [str(each["group"]) for each in all_groups()]
    refused = [name for name in wanted if not replayed(name)]
    if not wanted:
        print("no group is in quarantine")
    if refused:
        raise typer.Exit(1)


def replayed(name: str) -> bool:
    """False when it was refused again."""
    if name.isdigit():
        call("POST", f"/dead/groups/{name}/replay")
        print(f"group {name} is sent to be stored again")
        return True
    answer = call("POST", f"/dead/letters/{name}/replay")
    print(f"{name} is stored" if answer["stored"] else f"{name} is refused: {answer['reason']}")
    return bool(answer["stored"])


def all_groups() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = 0
    while groups := call("GET", f"/dead/groups?limit={PAGE}&after={after}"):
        found += groups
        after = groups[-1]["group"]
    return found
