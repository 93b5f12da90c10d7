"""Many rules and lists at once, as one act and one version."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from policy.acts import Applied, By, Document
from policy.store.log import locked_version, record
from policy.store.references import check_all
from policy.store.tables import LISTS, RULES


def apply(
    session: Session,
    rules: Mapping[str, Document],
    lists: Mapping[str, Document],
    by: By,
    action: str,
    *,
    only: bool,
    expected: int | None = None,
) -> Applied:
    """As `RuleStore.apply`; the session is a new one that writes."""
    present = locked_version(session, expected)
    of_lists = LISTS.edits_to(session, lists, only=only)
    of_rules = RULES.edits_to(session, rules, only=only)
    edits = [*of_lists, *of_rules]
    if not edits:
        return Applied(present, ())
    LISTS.write(session, of_lists)
    RULES.write(session, of_rules)
    check_all(session)
    record(session, by, action, present + 1, edits)
    return Applied(present + 1, edits)
