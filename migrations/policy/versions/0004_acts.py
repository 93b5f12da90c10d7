"""Acts, each of which may change several things, and not only rules."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")
OLD = sa.table(
    "rule_changes",
    *(
        sa.column(name)
        for name in ("version", "time", "actor", "resource", "name", "before", "after")
    ),
)


def upgrade() -> None:
    acts = op.create_table(
        "acts",
        sa.Column("id", SERIAL, primary_key=True),
        sa.Column("version", sa.Integer, unique=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("peer", sa.String(255), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(1024), nullable=False),
    )
    op.create_index("ix_acts_time", "acts", ["time"])
    op.create_index("ix_acts_actor", "acts", ["actor"])
    changes = op.create_table(
        "changes",
        sa.Column("id", SERIAL, primary_key=True),
        sa.Column("act", SERIAL, sa.ForeignKey("acts.id"), nullable=False),
        sa.Column("resource", sa.String(16), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
    )
    op.create_index("ix_changes_act", "changes", ["act"])
    op.create_index("ix_changes_thing", "changes", ["resource", "name", "act"])
    action = sa.case(
        (OLD.c.before.is_(sa.null()), "create"), (OLD.c.after.is_(sa.null()), "delete"),
        else_="update",
    )  # fmt: skip
    # In the order of versions, in which ids are then given.
    op.execute(
        acts.insert().from_select(
            ["version", "time", "actor", "peer", "action", "reason"],
            sa.select(
                OLD.c.version, OLD.c.time, OLD.c.actor, OLD.c.actor, action, sa.literal("")
            ).order_by(OLD.c.version),
        )
    )
    op.execute(
        changes.insert().from_select(
            ["act", "resource", "name", "before", "after"],
            sa.select(acts.c.id, OLD.c.resource, OLD.c.name, OLD.c.before, OLD.c.after)
            .join_from(OLD, acts, acts.c.version == OLD.c.version)
            .order_by(OLD.c.version),
        )
    )
    op.drop_table("rule_changes")


def downgrade() -> None:
    """Only while each version has changed one rule."""
    op.create_table(
        "rule_changes",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
        sa.Column("resource", sa.String(16), nullable=False, server_default="rule"),
    )
    op.create_index("ix_rule_changes_name", "rule_changes", ["name"])
    op.execute(
        "INSERT INTO rule_changes SELECT version, time, actor, name, before, after, resource"
        " FROM acts JOIN changes ON changes.act = acts.id WHERE version IS NOT NULL"
    )
    op.drop_table("changes")
    op.drop_table("acts")
