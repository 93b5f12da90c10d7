"""What may be granted of a quota, told from the answers that one asker was given, in order.

Each round has a counter of its own, which nobody else charges.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    allowed: bool
    granted: int
    by_counters: bool  # else by the collector alone, which they did not answer in time


@dataclass
class Round:
    """`held`: what a collector may hold in advance and take with it when it is killed."""

    limit: int
    held: int
    counted: int = 0  # granted by the counters
    alone: int = 0  # granted by a collector without them
    perhaps: int = 0  # counted, perhaps, though the answer was another, or none
    losses: int = 0  # times that the counters may have forgotten everything
    deaths: int = 0  # of collectors, which forget what they granted alone

    def answered(self, hits: int, answer: Answer) -> str:
        """What is wrong with it, in a sentence, or ""."""
        if not answer.by_counters:
            self.perhaps += hits
            self.alone += answer.granted if answer.allowed else 0
            return self._too_much("a collector alone", self.alone, 1 + self.deaths)
        if answer.allowed:
            self.counted += answer.granted
            return self._too_much("the counters", self.counted, 1 + self.losses)
        used = self.counted + self.perhaps + self.held * (1 + self.deaths)
        if used + hits <= self.limit:
            return f"{hits} are refused by the counters with {used} of {self.limit} used at most"
        return ""

    def unanswered(self, hits: int) -> None:
        self.perhaps += hits

    @staticmethod
    def again(first: Answer, second: Answer) -> str:
        """Of the same id, by the same counters, which forgot nothing in between."""
        if second == first:
            return ""
        return f"an id that was granted {first.granted} is granted {second.granted} the next time"

    def _too_much(self, who: str, granted: int, times: int) -> str:
        """`times`: how often what was counted may have begun afresh."""
        if granted <= self.limit * times:
            return ""
        return f"{who} granted {granted} of {self.limit}, {times} times"
