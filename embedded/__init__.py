"""Servers that `meshmeter up` runs for itself: ClickHouse (chDB) and Valkey, both from wheels."""
