"""What a check would answer, why, and what was answered: the explaining half of the API."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.commands.rules import call, read, show
from cli.table import table
from cli.tree import tree_lines

MAX_WHY = 20  # idle rules of many that are asked about one by one
AsJson = Annotated[bool, typer.Option("--json", help="the answer as the API gives it")]
RuleName = Annotated[str, typer.Argument(help="the rule's name")]


def attributes(text: str) -> Any:
    """JSON, or the name of a file of it; - is standard input."""
    if not text.lstrip().startswith("{"):
        return read(Path(text))
    try:
        return json.loads(text)
    except ValueError as error:
        sys.exit(f"meshmeter: the attributes are not JSON: {error}")


def explain(
    request: Annotated[
        str,
        typer.Option("--attributes", help="of the request: a JSON object, or a file of one, or -"),
    ],
    drafts: Annotated[
        Path | None,
        typer.Option("--rules", help="a JSON file of a rule, or a list of them, to be tried"),
    ] = None,
    alone: Annotated[bool, typer.Option(help="these rules in place of all in force")] = False,
    hits: Annotated[int, typer.Option(help="what each quota would be charged")] = 1,
    elsewhere: Annotated[bool, typer.Option(help="name the rules for other destinations")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what a check would answer, and what came of each rule; nothing is charged."""
    rules = read(drafts) if drafts else []
    question = {
        "attributes": attributes(request),
        "hits": hits,
        "rules": rules if isinstance(rules, list) else [rules],
        "alone": alone,
        "list_elsewhere": elsewhere,
    }
    tree = call("POST", "/evaluate", question)
    if as_json:
        show(tree)
        return
    for line in tree_lines(tree):
        print(line)


def agreement(
    name: RuleName,
    minutes: Annotated[int, typer.Option(help="up to now")] = 60,
) -> None:
    """Say how a rule in shadow, or a draft limit, answered beside what is in force."""
    show(call("GET", f"/rules/{name}/agreement?minutes={minutes}"))


def status(
    name: Annotated[str, typer.Argument(help="of one rule; without: of all")] = "",
    as_json: AsJson = False,
) -> None:
    """Say what rules matched, and why one has matched nothing for a while."""
    found = [call("GET", f"/rules/{name}/status")] if name else list(all_statuses())
    if as_json:
        show(found[0] if name else found)
        return
    heads = ("rule", "version", "mode", "matched", "last_matched", "now")
    print(table(heads, [
        (each["rule"], each["version"], each["mode"], each["matched"],
         each["last_matched"] or "never", now(each))
        for each in found
    ]))  # fmt: skip
    for each in [each for each in found if each["idle"]][:MAX_WHY]:
        told = each if name else call("GET", f"/rules/{each['rule']}/status")
        for line in why_lines(told["rule"], told["why_idle"]):
            print(line)


def all_statuses() -> Iterator[dict[str, Any]]:
    after = ""
    while found := call("GET", f"/status/rules?after={after}"):
        yield from found
        after = found[-1]["rule"]


def now(status: dict[str, Any]) -> str:
    if not status["in_force"]:
        return "not in force"
    return "matches nothing" if status["idle"] else ""


def why_lines(rule: str, why: dict[str, Any] | None) -> Iterator[str]:
    if why is None:  # it has matched meanwhile
        return
    yield f"{rule}: {why['reason']}"
    for term in why["terms"]:
        yield f"  {term['term']}: holds for {term['holds']} of {term['of']}"


def decision(
    decision_id: Annotated[str, typer.Argument(help="as x-meshmeter-decision told it")],
) -> None:
    """Show one decision."""
    show(call("GET", f"/decisions/{decision_id}"))
