"""Sessions of the rule database, shared by the stores of what is in it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from policy.errors import RulesDown
from policy.store.engine import rules_engine


class Database:
    """Safe to use from several threads. Raises RulesDown for a URL that cannot be read."""

    def __init__(self, url: str) -> None:
        self._engine = rules_engine(url)
        self._of_a_moment = (
            self._engine.execution_options(isolation_level="REPEATABLE READ")
            if self._engine.dialect.name == "postgresql"
            else self._engine
        )

    def close(self) -> None:
        self._engine.dispose()

    def writing(self) -> AbstractContextManager[Session]:
        """One transaction that writes, kept unless the body raises. Raises RulesDown."""
        return self._on(self._engine)

    def reading(self) -> AbstractContextManager[Session]:
        """All that is read in it is of one moment. Raises RulesDown."""
        return self._on(self._of_a_moment)

    @contextmanager
    def _on(self, engine: Engine) -> Iterator[Session]:
        try:
            with Session(engine) as session, session.begin():
                yield session
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise RulesDown(f"the rule database does not answer: {cause}") from error
