"""The rule database."""

from policy.store.database import Change, Resource
from policy.store.lists import ListStore
from policy.store.rules import RuleSet, RuleStore

__all__ = ["Change", "ListStore", "Resource", "RuleSet", "RuleStore"]
