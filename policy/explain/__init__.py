"""What a check would answer and why, rule by rule; nothing is charged, counted or recorded."""

from policy.explain.explain import explain, unruled
from policy.explain.tree import Explanation
from policy.explain.trial import with_rules

__all__ = ["Explanation", "explain", "unruled", "with_rules"]
