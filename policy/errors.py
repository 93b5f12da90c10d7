"""The policy library's errors, by whose fault it is.

PolicyError
├── InvalidRule        the writer's: where in the rule, and why
├── InvalidAttribute   the asker's: an attribute that cannot be read
├── EvaluationFailed   an expression has no value for this bag
├── UnknownRule        no rule of that name
├── UnknownList        no list of that name
├── UnknownPart        a rule has no such part
├── UnknownVersion     the rule set never was at that version
├── NameTaken          a rule or list of that name exists
├── TooMany            the rule set is full
├── Conflict           the rule, list or set has changed since it was read
├── ListInUse          rules name the list that was to be deleted
├── NoSnapshot         no rules were ever loaded: nothing can be decided
├── CountersDown       the counters do not answer in time: the rule's own policy decides
├── UnsuitableCounters the operator's: the server would forget counters silently
└── RulesDown          the rule database does not answer
"""

from collections.abc import Sequence


class PolicyError(Exception):
    pass


class InvalidRule(PolicyError):
    """`place` is a JSON pointer into the rule, "" for all of it; line and column count from 1."""

    def __init__(self, place: str, reason: str, line: int = 0, column: int = 0) -> None:
        self.place = place
        self.reason = reason
        self.line = line  # 0: the fault has no place inside the text
        self.column = column
        at = f" (line {line}, column {column})" if line else ""
        super().__init__(f"{place or '/'}{at}: {reason}")

    def within(self, place: str) -> "InvalidRule":
        """The same fault, found inside `place`."""
        return InvalidRule(place + self.place, self.reason, self.line, self.column)


class InvalidAttribute(PolicyError):
    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"{name}: {reason}")


class EvaluationFailed(PolicyError):
    """`absent` names the attribute that was needed and is not there; "" for another reason."""

    def __init__(self, reason: str, absent: str = "") -> None:
        self.absent = absent
        super().__init__(reason)


class UnknownRule(PolicyError):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is no rule {name!r}")


class UnknownList(PolicyError):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is no list {name!r}")


class UnknownPart(PolicyError):
    pass


class UnknownVersion(PolicyError):
    def __init__(self, version: int) -> None:
        super().__init__(f"there is no version {version}")


class NameTaken(PolicyError):
    def __init__(self, name: str, what: str = "rule") -> None:
        super().__init__(f"there is a {what} {name!r} already")


class TooMany(PolicyError):
    def __init__(self, most: int, what: str) -> None:
        super().__init__(f"there are {most} {what}s already, as many as may be")


class Conflict(PolicyError):
    """`what` is at another version than `expected`, which is negative when it could be none."""

    def __init__(self, what: str, expected: int, actual: int) -> None:
        self.actual = actual
        but = f", not {expected}" if expected >= 0 else ""
        super().__init__(f"{what} is at version {actual}{but}")


class ListInUse(PolicyError):
    """`rules` names them, by name; the message at most a few."""

    def __init__(self, name: str, rules: Sequence[str], shown: int = 5) -> None:
        self.rules = rules
        more = f" and {len(rules) - shown} more" if len(rules) > shown else ""
        super().__init__(f"list {name!r} is used by rule {', '.join(rules[:shown])}{more}")


class NoSnapshot(PolicyError):
    pass


class CountersDown(PolicyError):
    pass


class UnsuitableCounters(PolicyError):
    pass


class RulesDown(PolicyError):
    pass
