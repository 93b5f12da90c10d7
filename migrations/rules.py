"""Brings a rule database to this version's tables."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from collector.errors import InvalidSetting, Unready
from policy.errors import RulesDown
from policy.store.engine import rules_engine

SCRIPTS = Path(__file__).with_name("policy")
LOCK = 0x6D6573686D  # "meshm": one migration at a time in a PostgreSQL database


def migrate_rules(url: str) -> None:
    """All or nothing, and harmless when several do it at once.

    Raises Unready when the database does not answer, InvalidSetting for one of a newer version.
    """
    try:
        engine = rules_engine(url, begin="BEGIN IMMEDIATE")
    except RulesDown as error:
        raise InvalidSetting(f"rules database: {error}") from error
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise InvalidSetting(f"the rules database is of another version: {error}") from error
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise Unready(f"the rules database does not answer: {cause}") from error
    finally:
        engine.dispose()
