"""Lists by name as compiled rules read them: a refreshed list replaces the former in one step.

A compiled rule keeps the HeldList of its name, which is the same one for the life of the process.
So a list changes without a rule being compiled again.
"""

from policy.lists.entries import EntryList


class HeldList:
    """`entries` is None while there is nothing to ask: no such list, or one never fetched."""

    __slots__ = ("entries", "name", "unanswered")

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: EntryList | None = None
        self.unanswered = 0  # times it was asked while there was nothing to ask

    def matches(self, value: str | bytes) -> bool | None:
        """None, and counted, while there is nothing to ask."""
        entries = self.entries
        if entries is None:
            self.unanswered += 1
            return None
        return entries.matches(value)


class HeldLists:
    """Used on one event loop; compiling rules in a thread may ask for one, too."""

    def __init__(self) -> None:
        self._held: dict[str, HeldList] = {}

    def of(self, name: str) -> HeldList:
        """Always the same one for a name, also before a list of that name is there."""
        return self._held.setdefault(name, HeldList(name))

    def all(self) -> list[HeldList]:
        return list(self._held.values())
