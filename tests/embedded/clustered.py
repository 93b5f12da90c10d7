"""The embedded ClickHouse with a `remote_servers` of its own: a cluster's server, to be asked.

Its engine is the whole ClickHouse but for what the server's program adds: it has Distributed tables
and reaches other servers, it has neither ON CLUSTER nor replication. Run as a program, it takes the
cluster's XML and what each session sets as its first two arguments.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from embedded.store import engine
from embedded.store.main import main
from tests.embedded.daemon import StoreProcess

CLUSTER = "two"
LISTENING = 9000  # that the engine takes for its own port: what is there it asks itself


class ClusteredStore(StoreProcess):
    """`ports`: where each shard's one server is. `session`: what every session sets."""

    def __init__(self, data_dir: Path, ports: Sequence[int], session: str = "") -> None:
        super().__init__(data_dir)
        shards = "".join(
            f"<shard><replica><host>127.0.0.1</host><port>{port}</port></replica></shard>"
            for port in ports
        )
        config = f"<remote_servers><{CLUSTER}>{shards}</{CLUSTER}></remote_servers>"
        self.program = ("-m", "tests.embedded.clustered", config, session)


@contextmanager
def clustered_store(
    data_dir: Path, ports: Sequence[int], session: str = ""
) -> Iterator[ClusteredStore]:
    """A started one, killed at the end."""
    store = ClusteredStore(data_dir, ports, session)
    try:
        store.start()
        yield store
    finally:
        if hasattr(store, "process"):
            store.kill()


if __name__ == "__main__":
    remote_servers, session, *rest = sys.argv[1:]
    own_port = f"<tcp_port>{LISTENING}</tcp_port>"
    engine.CONFIG = engine.CONFIG.replace(
        "</clickhouse>", f"{own_port}{remote_servers}</clickhouse>"
    )
    if session:
        engine.SESSION += f", {session}"
    main(rest)
