"""The `meshmeter` command."""
