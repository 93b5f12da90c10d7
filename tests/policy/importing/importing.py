"""One text imported, and what is said of it."""

from policy.importing import Imported, Severity, Source, import_sources


def imported(text: str, form: str = "auto", prefix: str = "") -> Imported:
    return import_sources([Source("a.yaml", text)], form, prefix)


def clean(text: str, form: str = "auto", prefix: str = "") -> Imported:
    """Nothing was refused or changed."""
    found = imported(text, form, prefix)
    assert {note.severity for note in found.notes} <= {Severity.IGNORED}, found.notes
    return found


def said(found: Imported, severity: Severity = Severity.REFUSED) -> list[tuple[str, str]]:
    """Places and reasons."""
    return [(note.path, note.reason) for note in found.notes if note.severity is severity]
