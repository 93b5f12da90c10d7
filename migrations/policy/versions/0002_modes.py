"""A rule's `enabled` becomes its `mode`."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RULES = sa.table("rules", sa.column("name", sa.String), sa.column("document", sa.JSON))
CHANGES = sa.table(
    "rule_changes",
    sa.column("version", sa.Integer),
    sa.column("before", sa.JSON(none_as_null=True)),
    sa.column("after", sa.JSON(none_as_null=True)),
)

Document = dict[str, Any]


def upgrade() -> None:
    rewrite(with_mode)


def downgrade() -> None:
    rewrite(with_enabled)


def rewrite(changed: Callable[[Document], Document]) -> None:
    """Every rule there is, and all that is remembered of them."""
    connection = op.get_bind()
    for name, document in connection.execute(sa.select(RULES.c.name, RULES.c.document)).all():
        new = sa.update(RULES).where(RULES.c.name == name).values(document=changed(document))
        connection.execute(new)
    changes = sa.select(CHANGES.c.version, CHANGES.c.before, CHANGES.c.after)
    for version, before, after in connection.execute(changes).all():
        values = {"before": before and changed(before), "after": after and changed(after)}
        connection.execute(sa.update(CHANGES).where(CHANGES.c.version == version).values(values))


def with_mode(document: Document) -> Document:
    kept = {key: value for key, value in document.items() if key != "enabled"}
    return {"mode": "enabled" if document.get("enabled", True) else "disabled"} | kept


def with_enabled(document: Document) -> Document:
    kept = {key: value for key, value in document.items() if key != "mode"}
    return {"enabled": document.get("mode", "enabled") == "enabled"} | kept
