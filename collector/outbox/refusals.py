"""Why the outbox takes nothing now; `reason` is the label of its counter."""

from collector.errors import Overloaded


class Refusal(Overloaded):
    reason = ""


class Full(Refusal):
    """No room in the file or on the disk."""

    reason = "full"


class Pressed(Refusal):
    """What room there is is kept for others."""

    reason = "pressure"


class Slow(Refusal):
    """More is waiting for the disk than memory should hold."""

    reason = "slow"


class Broken(Refusal):
    """The file could not be written once, and is not trusted again."""

    reason = "broken"


class Closed(Refusal):
    reason = "closed"
