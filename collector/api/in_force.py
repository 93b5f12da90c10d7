"""What the API knows of the rules that this collector runs."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from fastapi.concurrency import run_in_threadpool

Result = TypeVar("Result")


class InForce(Protocol):
    @property
    def version(self) -> int:
        """Of the rule set; -1 before any was loaded."""

    @property
    def failing(self) -> str:
        """Why a newer one is not in force; "" when there is none."""

    async def refresh(self) -> None:
        """Puts the newest in force, if it can."""


async def then_in_force(in_force: InForce, act: Callable[[], Result]) -> Result:
    """Acts in a thread; what was changed is in force in this collector when it is answered."""
    result = await run_in_threadpool(act)
    await in_force.refresh()
    return result
