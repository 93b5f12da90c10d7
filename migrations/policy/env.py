"""How Alembic runs the migrations: on the connection `migrations.rules` hands over."""

from alembic import context

from policy.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,  # SQLite can; the caller's transaction holds all of it
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
