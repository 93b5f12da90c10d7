"""Alembic's migrations of the rule database; `migrations.rules` runs them."""
