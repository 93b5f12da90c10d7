"""Rules tried beside those in force, without being saved."""

from collections.abc import Sequence

from policy.errors import InvalidRule
from policy.kinds import AnyRule, Mode
from policy.lists import HeldLists
from policy.snapshot import Snapshot, compile_rule


def with_rules(
    snapshot: Snapshot, rules: Sequence[AnyRule], lists: HeldLists, *, alone: bool = False
) -> Snapshot:
    """These rules in place of those of the same names, and of all others when they are alone.

    Raises InvalidRule, whose place begins with the rule's number.
    """
    tried = {} if alone else dict(snapshot.rules)
    names: set[str] = set()
    for number, rule in enumerate(rules):
        if rule.name in names:
            raise InvalidRule(f"/{number}/name", "there is another rule of this name")
        names.add(rule.name)
        tried.pop(rule.name, None)
        if rule.mode is Mode.DISABLED:
            continue
        try:
            tried[rule.name] = compile_rule(rule, lists)
        except InvalidRule as error:
            raise error.within(f"/{number}") from error
    return Snapshot(snapshot.version, tried)
