"""Parts of an Envoy configuration written by hand, and an Envoy that runs on one."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from demo.envoy_binary import envoy_binary
from tests.sidecar.envoys import live
from tests.waiting import eventually

PAGES = Path("docs/protocols")
TYPE = "type.googleapis.com/envoy.extensions.filters"
MANAGER = f"{TYPE}.network.http_connection_manager.v3.HttpConnectionManager"
TCP_PROXY = f"{TYPE}.network.tcp_proxy.v3.TcpProxy"
ROUTER = f"{TYPE}.http.router.v3.Router"

Config = dict[str, Any]


def snippets(page: str) -> list[Any]:
    text = (PAGES / page).read_text()
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


def address(port: int) -> Config:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name: str, port: int) -> Config:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]
    return {"name": name, "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


def listener(
    port: int, name: str, filter_type: str, fields: Config, direction: str = "INBOUND"
) -> Config:
    typed = {"@type": filter_type, "stat_prefix": name, **fields}
    chain = {"filters": [{"name": name, "typed_config": typed}]}
    return {
        "name": name,
        "traffic_direction": direction,
        "address": address(port),
        "filter_chains": [chain],
    }


@contextmanager
def envoy(config: Config, directory: Path) -> Iterator[None]:
    """`config` names where its admin interface is."""
    path = directory / f"{config['node']['id']}.yaml"
    path.write_text(yaml.safe_dump(config))
    admin = config["admin"]["address"]["socket_address"]["port_value"]
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    process = subprocess.Popen([str(envoy_binary()), "--config-path", str(path), *options])
    try:
        eventually(lambda: live(f"http://127.0.0.1:{admin}/ready"))
        yield
    finally:
        process.kill()
        process.wait()


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])
