"""Configuration of other systems, and our own YAML, to documents of rules and lists.

Pure: texts in, documents and notes out. Each text may hold several documents, of any format;
what cannot be read or imported is noted at its place, and the rest is imported.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from policy.documents import NAME
from policy.errors import InvalidRule
from policy.importing.drafts import Draft, Drafts
from policy.importing.mixer import is_mixer, mixer
from policy.importing.names import MAX_LENGTH, Parts, labels
from policy.importing.native import is_native, native
from policy.importing.notes import Imported, Note, Severity, Source
from policy.importing.places import Ledger, Place
from policy.importing.ratelimit import is_ratelimit, ratelimit
from policy.importing.reading import read
from policy.lists import list_from_json
from policy.rules import rule_from_json

__all__ = ["AUTO", "FORMATS", "Imported", "Note", "Severity", "Source", "import_sources"]

AUTO = "auto"


class Format(NamedTuple):
    """`fits`: whether a document looks like one, which decides where no format is given."""

    fits: Callable[[Place], bool]
    drafts: Callable[[list[Place]], Drafts]


FORMATS: Mapping[str, Format] = {
    "meshmeter": Format(is_native, native),
    "mixer": Format(is_mixer, mixer),
    "ratelimit": Format(is_ratelimit, ratelimit),
}
MAX_PREFIX = 31


def import_sources(sources: Sequence[Source], form: str = AUTO, prefix: str = "") -> Imported:
    """`form` is a key of FORMATS or auto: each document is looked at. What is wrong in the texts is
    noted; raises InvalidRule for another format, and for a prefix that cannot begin a name."""
    if form not in (AUTO, *FORMATS):
        raise InvalidRule("/format", f"expected one of {', '.join((AUTO, *FORMATS))}")
    if prefix and (len(prefix) > MAX_PREFIX or not NAME.fullmatch(prefix)):
        raise InvalidRule("/prefix", f"expected a DNS label of at most {MAX_PREFIX} characters")
    ledger = Ledger()
    roots = [root for source in sources for root in documents(source, ledger)]
    found: dict[str, list[Place]] = {}
    for root in roots:
        name = form if form != AUTO else format_of(root)
        if name:
            found.setdefault(name, []).append(root)
        else:
            root.refuse(f"looks like none of {', '.join(FORMATS)}")
    made = [FORMATS[name].drafts(places) for name, places in found.items()]
    lists = named([draft for drafts in made for draft in drafts.lists], prefix)
    rules = named([draft for drafts in made for draft in drafts.rules], prefix)
    imported = Imported()
    for draft, name in lists:
        add(draft, {"name": name} | draft.document, list_from_json, imported.lists)
    names = {draft.name: name for draft, name in lists}
    lost = {*names.values()} - {document["name"] for document in imported.lists}
    for draft, name in rules:
        document = {"name": name} | with_list(draft.document, names)
        asked = document.get("list")
        if isinstance(asked, str) and asked in lost:
            draft.place.refuse(f"the list {asked}, which it asks, was refused")
        else:
            add(draft, document, rule_from_json, imported.rules)
    imported.notes.extend(ledger.finish(roots, Severity.REFUSED, "is not known here"))
    return imported


def documents(source: Source, ledger: Ledger) -> list[Place]:
    found, fault = read(source.text)
    if fault:
        refused = (Severity.REFUSED, fault.reason)
        ledger.notes.append(Note(source.name, 0, "", fault.line, fault.column, *refused))
    return [
        Place(ledger, source.name, number, "", node) for number, node in enumerate(found, start=1)
    ]


def format_of(root: Place) -> str | None:
    return next((name for name, known in FORMATS.items() if known.fits(root)), None)


def named(drafts: list[Draft], prefix: str) -> list[tuple[Draft, str]]:
    """Each with its label, prefix and all. Of two that insist on one name the second is refused."""
    own: dict[str, Draft] = {}
    for draft in drafts:
        if draft.label and own.setdefault(draft.name[0], draft) is not draft:
            draft.place.refuse(f"there is another {draft.name[0]} before it")
    room = MAX_LENGTH - (len(prefix) + 1 if prefix else 0)
    found = labels((draft.name for draft in drafts if not draft.label), own, room)
    before = f"{prefix}-" if prefix else ""
    return [
        (draft, before + (draft.name[0] if draft.label else found[draft.name]))
        for draft in drafts
        if not draft.label or own[draft.name[0]] is draft
    ]


def with_list(document: dict[str, Any], names: Mapping[Parts, str]) -> dict[str, Any]:
    """A rule's list by the name it has now: one of the import, else as it is."""
    asked = document.get("list")
    parts = (asked,) if isinstance(asked, str) else asked
    if isinstance(parts, tuple) and parts in names:
        return document | {"list": names[parts]}
    return document


def add(
    draft: Draft,
    document: dict[str, Any],
    check: Callable[[dict[str, Any]], object],
    documents: list[dict[str, Any]],
) -> None:
    try:
        check(document)
    except InvalidRule as error:
        refuse(draft, error)
    else:
        documents.append(document)


def refuse(draft: Draft, error: InvalidRule) -> None:
    if draft.label:  # the place of the fault is one of the text
        at = f" (line {error.line}, column {error.column} of it)" if error.line else ""
        draft.place.down(error.place).refuse(error.reason + at)
    else:
        draft.place.refuse(str(error))
