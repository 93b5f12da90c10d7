"""The embedded ClickHouse: the chDB engine behind ClickHouse's native TCP protocol.

A process of its own, for chDB must not be forked. Clients use clickhouse-driver, as with a server.
"""
