"""`meshmeter rules import` and `export`: whole files of rules, ours and others'."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.rules import asked

if TYPE_CHECKING:
    from policy.importing import Note

TIMEOUT_S = 120

Files = Annotated[list[Path], typer.Argument(help="YAML files, or - for standard input")]
Form = Annotated[
    str, typer.Option("--format", help="meshmeter, ratelimit, mixer, or auto: what they look like")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be done, and do nothing")]
Prefix = Annotated[str, typer.Option(metavar="NAME", help="put NAME- before every name")]
Partial = Annotated[bool, typer.Option("--partial", help="store the rest when a part is refused")]


def import_rules(
    files: Files,
    form: Form = "auto",
    dry_run: DryRun = False,
    prefix: Prefix = "",
    partial: Partial = False,
) -> None:
    """Make and change rules and lists as files say: all of them or, when a part is refused, none.

    Exit code 1 when a part is refused, unless --partial is given.
    """
    from policy.importing import Note, Severity

    question = {
        "files": [{"name": str(file), "text": text_of(file)} for file in files],
        "format": form,
        "prefix": prefix,
        "dry_run": dry_run,
        "partial": partial,
    }
    answer = asked("POST", "/import", question, TIMEOUT_S)
    if "json" not in answer.headers.get("content-type", ""):
        sys.exit(f"meshmeter: {answer.status_code}: {answer.text}")
    told: dict[str, Any] = answer.json()
    notes = [Note(**note) for note in told.get("notes", ())]
    for note in notes:
        print(note)
    if answer.is_error:
        sys.exit(f"meshmeter: {told['detail']}")
    for kind in ("lists", "rules"):
        for what in ("made", "changed"):
            for name in told[kind][what]:
                print(f"{what} {kind.removesuffix('s')} {name}")
    print(summary(told, notes))
    if not partial and any(note.severity == Severity.REFUSED for note in notes):
        raise typer.Exit(1)


def summary(told: dict[str, Any], notes: "list[Note]") -> str:
    from policy.importing import Severity

    names = Counter(
        {
            what: len(told["rules"][what]) + len(told["lists"][what])
            for what in ("made", "changed", "unchanged")
        }
    )
    noted = Counter(note.severity for note in notes)
    line = ", ".join(f"{number} {what}" for what, number in names.items())
    line += "; " + ", ".join(f"{noted[severity]} {severity}" for severity in Severity)
    return line if told["stored"] else f"{line}; nothing is stored: a dry run"


def export_rules(
    file: Annotated[Path | None, typer.Argument(help="where to; default: standard output")] = None,
) -> None:
    """Write all rules and lists as YAML, which imports to the same."""
    answer = asked("GET", "/export", timeout_s=TIMEOUT_S)
    if answer.is_error:
        sys.exit(f"meshmeter: {answer.status_code}: {answer.text}")
    if file is None:
        sys.stdout.write(answer.text)
        return
    try:
        file.write_text(answer.text)
    except OSError as error:
        sys.exit(f"meshmeter: {file} cannot be written: {error.strerror}")


def text_of(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except OSError as error:
        sys.exit(f"meshmeter: {file} cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        sys.exit(f"meshmeter: {file} is not UTF-8: {error}")
