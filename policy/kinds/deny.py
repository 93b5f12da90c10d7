"""Always no."""

from typing import Literal

from policy.documents import Refusing
from policy.expression import Match
from policy.lists import HeldLists
from policy.stages import Gate


class DenyRule(Refusing):
    """Refuses what it matches."""

    kind: Literal["deny"] = "deny"

    def compile(self, match: Match, _lists: HeldLists) -> Gate:
        reason = self.message or f"denied by rule {self.name}"
        return Gate(self, match, match.reads, lambda _values: reason)
