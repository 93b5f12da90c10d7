"""The rule database."""

from policy.store.audit import Audit
from policy.store.changed import Changed, Stamp
from policy.store.history import History
from policy.store.lists import ListStore
from policy.store.rules import RuleSet, RuleStore

__all__ = ["Audit", "Changed", "History", "ListStore", "RuleSet", "RuleStore", "Stamp"]
