"""`meshmeter reconcile`: do the collectors' books add up?"""

import os
import sys
from collections import Counter
from typing import Annotated, Any

import typer

from cli.commands.rules import show
from cli.table import table
from collector.settings import Settings

COLUMNS = ("accepted", "stored", "skipped", "refused", "discarded", "pending", "quarantined")


def reconcile(
    collector: Annotated[
        list[str] | None,
        typer.Option(help="a collector's URL, once for each; default: MESHMETER_COLLECTOR_URL"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="the answers as the API gives them")
    ] = False,
) -> None:
    """What the collectors accepted and what became of it; exit code 1 when it does not add up."""
    urls = collector or [Settings.from_environ(os.environ).collector_url]
    found = [books_of(url) for url in urls]
    if as_json:
        show(found)
    else:
        for line in lines(found):
            print(line)
    if not all(books["balanced"] for books in found):
        raise typer.Exit(1)


def books_of(url: str) -> dict[str, Any]:
    """Ends the program when the collector does not tell."""
    import httpx

    try:
        answer = httpx.get(f"{url.rstrip('/')}/api/v1/reconciliation", timeout=10)
    except httpx.HTTPError as error:
        sys.exit(f"meshmeter: the collector at {url} does not answer: {error}")
    if answer.is_error:
        sys.exit(f"meshmeter: {url}: {answer.status_code}: {answer.text}")
    books: dict[str, Any] = answer.json()
    return books


def lines(found: list[dict[str, Any]]) -> list[str]:
    """By signal and client, of all collectors together."""
    clients: dict[tuple[str, str], Counter[str]] = {}
    reasons: Counter[str] = Counter()
    for books in found:
        reasons.update(books["total"]["refused"])
        for told in books["clients"]:
            sums = told | {"refused": sum(told["refused"].values())}
            of = clients.setdefault((told["signal"], told["client"]), Counter())
            of.update({name: sums[name] for name in (*COLUMNS, "difference")})
    total = sum(clients.values(), Counter[str]())
    rows = [(*key, *(of[name] for name in COLUMNS)) for key, of in sorted(clients.items())]
    said = [table(("signal", "client", *COLUMNS), rows)] if rows else []
    said += [f"refused as {reason}: {items}" for reason, items in sorted(reasons.items())]
    differing = [f"{signal} of {client}" for (signal, client), of in sorted(clients.items())
                 if of["difference"]]  # fmt: skip
    if differing:
        return [*said, "does not add up: " + ", ".join(differing)]
    told = ", ".join(f"{total[name]} {name}" for name in COLUMNS)
    return [*said, f"balanced: {told}"]
