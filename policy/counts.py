"""How often rules matched, and what was asked about; the engine counts, others take the counts."""

from collections import defaultdict


class Counts:
    """`matched`: requests by `rule@version`. `asked`: the destinations that checks were about, of
    those that rules name; "" is any other."""

    def __init__(self) -> None:
        self.matched: defaultdict[str, int] = defaultdict(int)
        self.asked: set[str] = set()

    def match(self, rule_id: str) -> None:
        self.matched[rule_id] += 1
