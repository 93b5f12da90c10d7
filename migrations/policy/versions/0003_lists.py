"""Lists that rules name, and in the record of changes what each is one of."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lists",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 63", name="list_name_length"),
    )
    resource = sa.Column("resource", sa.String(16), nullable=False, server_default="rule")
    op.add_column("rule_changes", resource)


def downgrade() -> None:
    op.execute("DELETE FROM rule_changes WHERE resource != 'rule'")
    with op.batch_alter_table("rule_changes") as changes:
        changes.drop_column("resource")
    op.drop_table("lists")
