"""`meshmeter rules`: the rules API from a terminal."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.settings import Settings

if TYPE_CHECKING:
    import httpx

app = typer.Typer(help="List, show and change rules through the API.", no_args_is_help=True)


def call(method: str, path: str, body: Any = None) -> Any:
    """The answer's JSON. Ends the program with the problem's own words when refused."""
    answer = asked(method, path, body)
    if answer.is_error:
        sys.exit(f"meshmeter: {answer.status_code}: {answer.text}")
    return answer.json() if answer.content else None


def asked(method: str, path: str, body: Any = None, timeout_s: float = 10) -> "httpx.Response":
    """The answer, be it a refusal. Ends the program when there is none."""
    import httpx

    url = Settings.from_environ(os.environ).collector_url
    try:
        return httpx.request(method, f"{url}/api/v1{path}", json=body, timeout=timeout_s)
    except httpx.HTTPError as error:
        sys.exit(f"meshmeter: the collector at {url} does not answer: {error}")


def show(value: Any) -> None:
    print(json.dumps(value, indent=2))


def read(file: Path) -> Any:
    try:
        return json.loads(sys.stdin.read() if str(file) == "-" else file.read_text())
    except OSError as error:
        sys.exit(f"meshmeter: {file} cannot be read: {error.strerror}")
    except ValueError as error:
        sys.exit(f"meshmeter: {file} is not JSON: {error}")


Name = Annotated[str, typer.Argument(help="the rule's name")]
File = Annotated[Path, typer.Argument(help="a JSON file holding the rule, or - for standard input")]


@app.command("list")
def list_rules() -> None:
    """All rules."""
    show(call("GET", "/rules"))


@app.command("show")
def show_rule(name: Name) -> None:
    """One rule."""
    show(call("GET", f"/rules/{name}"))


@app.command()
def create(file: File) -> None:
    """Make a rule."""
    show(call("POST", "/rules", read(file)))


@app.command()
def update(name: Name, file: File) -> None:
    """Replace a rule."""
    show(call("PUT", f"/rules/{name}", read(file)))


@app.command()
def validate(file: File) -> None:
    """Say whether a rule would be taken, and why not."""
    show(call("POST", "/rules/validate", read(file)))


@app.command()
def delete(name: Name) -> None:
    """Remove a rule."""
    call("DELETE", f"/rules/{name}")


@app.command()
def enable(name: Name) -> None:
    """Put a rule in force."""
    show(call("POST", f"/rules/{name}/enable"))


@app.command()
def disable(name: Name) -> None:
    """Take a rule out of force and keep it."""
    show(call("POST", f"/rules/{name}/disable"))


@app.command("evaluate-cases")
def evaluate_cases(
    file: Annotated[Path, typer.Argument(help="a JSON file of expression cases, or -")],
) -> None:
    """Run a file of expressions and what each must give, without a collector."""
    from policy.expression.cases import run_cases

    passed = failed = 0
    try:
        for outcome in run_cases(read(file)):
            passed += outcome.passed
            failed += not outcome.passed
            if not outcome.passed:
                print(
                    f"case {outcome.number}: {outcome.expression}:"
                    f" expected {outcome.expected}, got {outcome.actual}"
                )
    except ValueError as error:
        sys.exit(f"meshmeter: {file}: {error}")
    print(f"{passed} passed, {failed} failed")
    if failed:
        raise typer.Exit(1)
