"""Acts: what was done, by whom, when and why, and what each changed. Written with the change."""

from collections.abc import Callable, Sequence

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from policy.acts import MAX_NAME, MAX_REASON, By, Edit
from policy.errors import Conflict
from policy.store.models import ActRow, ChangeRow, RuleSetRow

SET = 1  # the one row of rule_set


def locked_version(session: Session, expected: int | None = None) -> int:
    """That of the set. First in each transaction that changes the set: it takes the lock before
    anything was read. Raises Conflict when the set is not at the `expected` version."""
    same = update(RuleSetRow).where(RuleSetRow.id == SET).values(version=RuleSetRow.version)
    version = session.scalars(same.returning(RuleSetRow.version)).one()
    if expected is not None and version != expected:
        raise Conflict("the rule set", expected, version)
    return version


def record(session: Session, by: By, action: str, version: int, edits: Sequence[Edit]) -> None:
    """One act, which brought the set to `version`."""
    session.execute(update(RuleSetRow).where(RuleSetRow.id == SET).values(version=version))
    write_act(session, by, action, version, lambda: edits)


def write_act(
    session: Session,
    by: By,
    action: str,
    version: int | None,
    work: Callable[[], Sequence[Edit]],
) -> None:
    """One act, done once it is known that it can be written; it did not change the set when there
    is no version."""
    act = ActRow(
        version=version,
        actor=(by.actor or by.peer)[:MAX_NAME],
        peer=by.peer[:MAX_NAME],
        action=action,
        reason=by.reason[:MAX_REASON],
    )
    session.add(act)
    session.flush()
    edits = work()
    session.execute(insert(ChangeRow), [{"act": act.id, **edit._asdict()} for edit in edits])
