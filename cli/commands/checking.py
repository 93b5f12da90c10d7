"""`meshmeter check`: a real check from a terminal."""

import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from cli.commands.explain import attributes
from cli.commands.rules import asked, show
from cli.tree import tree_lines

DENIED, FAILED = 1, 2


def check(
    request: Annotated[
        str,
        typer.Option("--attributes", help="of the request: a JSON object, or a file of one, or -"),
    ],
    hits: Annotated[int, typer.Option(min=0, help="charged to each quota; 0 asks only")] = 1,
    best_effort: Annotated[bool, typer.Option(help="take what is left of a quota")] = False,
    dedup_id: Annotated[str, typer.Option(help="the same id again is charged once")] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="say what came of each rule; nothing is charged")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the answer as the API gives it")] = False,
) -> None:
    """May it pass? It is charged, counted and recorded as a sidecar's check.

    Exit code 0: allowed, 1: denied, 2: there was no answer. `meshmeter rules explain` also tries
    rules that are not in force.
    """
    if explain and (best_effort or dedup_id):
        raise typer.BadParameter("nothing is charged: only --attributes and --hits go with it",
                                 param_hint="--explain")  # fmt: skip
    question = {"attributes": attributes(request), "hits": hits}
    lines: Iterable[str]
    if explain:
        found = answered("/evaluate", question)
        decision, lines = found["decision"], tree_lines(found)
    else:
        question |= {"best_effort": best_effort} | ({"dedup_id": dedup_id} if dedup_id else {})
        found = decision = answered("/check", question)
        lines = told(decision)
    if as_json:
        show(found)
    else:
        for line in lines:
            print(line)
    if not decision["allowed"]:
        raise typer.Exit(DENIED)


def answered(path: str, question: dict[str, Any]) -> Any:
    """Ends the program with its exit code when there is no answer."""
    answer = asked("POST", path, question)
    if answer.is_error:
        print(f"meshmeter: {answer.status_code}: {answer.text}", file=sys.stderr)
        raise typer.Exit(FAILED)
    return answer.json()


def told(decision: dict[str, Any]) -> Iterable[str]:
    """A decision in a few lines; what does not apply is left out."""
    rule = f"{decision['rule']}@{decision['rule_version']}" if decision["rule"] else "no rule"
    answer = "allowed" if decision["allowed"] else f"denied with {decision['http_status']}"
    lines = [f"{answer} by {rule} ({decision['decided_by']})"]
    if decision["reason"]:
        lines.append(f"  {decision['reason']}")
    if decision["limit"] >= 0:
        key = f" for {decision['quota_key']}" if decision["quota_key"] else ""
        lines.append(f"  {decision['remaining']} of {decision['limit']} left{key}")
    if decision["retry_after_us"] > 0:
        lines.append(f"  passes again in {decision['retry_after_us'] / 1e6:g} s")
    if decision["lease"]:
        lines.append(f"  lease {decision['lease']}")
    for verdict in decision["beside"]:
        what = "shadow" if verdict["live"] is None else "draft"
        said = "allow" if verdict["allowed"] else f"deny: {verdict['reason']}"
        lines.append(f"  {what} of {verdict['rule']} would {said}")
    lines.append(f"  decision {decision['id']}, rules of version {decision['snapshot_version']}")
    return lines
