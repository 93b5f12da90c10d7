"""The rule database."""

from policy.store.rules import Change, RuleStore

__all__ = ["Change", "RuleStore"]
