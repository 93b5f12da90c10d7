"""That every list which a rule asks is there, whoever goes or comes."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from policy.errors import InvalidRule, ListInUse
from policy.kinds import AnyRule, ListRule
from policy.store.models import ListRow, RuleRow

ASKED = RuleRow.document["list"].as_string()
ASKS = RuleRow.document["kind"].as_string() == "list"


def check_rule(session: Session, rule: AnyRule) -> None:
    """Raises InvalidRule unless the list that the rule asks is there."""
    if isinstance(rule, ListRule) and rule.list and session.get(ListRow, rule.list) is None:
        raise no_list("/list", rule.list)


def check_unused(session: Session, name: str) -> None:
    """Raises ListInUse while rules ask this list, whatever their mode."""
    using = select(RuleRow.name).where(ASKS, name == ASKED).order_by(RuleRow.name)
    if users := session.scalars(using).all():
        raise ListInUse(name, users)


def check_all(session: Session) -> None:
    """Raises InvalidRule for the first rule whose list is not there."""
    lists = set(session.scalars(select(ListRow.name)))
    asking = select(RuleRow.name, ASKED).where(ASKS, ASKED.is_not(None)).order_by(RuleRow.name)
    for rule, name in session.execute(asking):
        if name and name not in lists:
            raise no_list(f"/{rule}/list", name)


def no_list(place: str, name: str) -> InvalidRule:
    return InvalidRule(place, f"there is no list {name!r}")
