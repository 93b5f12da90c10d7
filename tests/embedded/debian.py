"""The ClickHouse server that Debian 12 packages: 18.16, of another decade and other hands."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clickhouse_driver import Client
from clickhouse_driver.errors import Error

from tests.conftest import free_port
from tests.waiting import eventually

OFFERED = 'VERSION_ID="12"' in Path("/etc/os-release").read_text()  # the last to package it
CONFIG = """
<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <tcp_port>{port}</tcp_port><listen_host>127.0.0.1</listen_host>
  <path>{data}/</path><tmp_path>{data}/tmp/</tmp_path>
  <users_config>users.xml</users_config>
  <default_profile>default</default_profile><default_database>default</default_database>
  <mark_cache_size>5000000</mark_cache_size>
</yandex>
"""
USERS = """
<yandex>
  <profiles><default/></profiles><quotas><default/></quotas>
  <users><default>
    <password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
  </default></users>
</yandex>
"""


def answers(port: int) -> bool:
    client = Client("127.0.0.1", port=port, connect_timeout=1)
    try:
        return bool(client.connection.force_connect() or client.connection.ping())
    except (Error, EOFError):
        return False
    finally:
        client.disconnect()


@contextmanager
def debian_server(directory: Path) -> Iterator[int]:
    """The port of a started server, which is killed at the end."""
    program = shutil.which("clickhouse-server", path="/usr/bin:/usr/sbin")
    assert program, "ClickHouse's server is missing: apt-get install clickhouse-server"
    port = free_port()
    directory.mkdir()
    (directory / "users.xml").write_text(USERS)
    config = directory / "config.xml"
    config.write_text(CONFIG.format(port=port, data=directory / "data"))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([program, f"--config-file={config}"], stdout=log, stderr=log)
    try:
        eventually(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None, (directory / "log").read_text()
        yield port
    finally:
        process.kill()
        process.wait()
