"""The demo's own processes: the shop, an Envoy for each of its sidecars, its customers."""

import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import yaml

from collector.sidecar.envoy import envoy_config
from collector.sidecar.sidecar import Address, Sidecar
from demo.plan import addresses, write_addresses
from launch.embedded import http_ready
from launch.supervisor import ChildSpec

SHOP, TRAFFIC = "shop", "traffic"


def shop_specs(sidecars: Iterable[Sidecar], envoy: Path, directory: Path) -> list[ChildSpec]:
    """Every process but the customers, in the order they start; writes what they read."""
    sidecars = list(sidecars)
    directory.mkdir(parents=True, exist_ok=True)
    write_addresses(addresses_file(directory), addresses(sidecars))
    apps = [sidecar.app for sidecar in sidecars if sidecar.app]
    command = [sys.executable, "-m", "demo.shop", str(addresses_file(directory))]
    return [
        ChildSpec(SHOP, command, all_listen(apps)),
        *(envoy_spec(sidecar, envoy, directory) for sidecar in sidecars),
    ]


def traffic_spec(directory: Path, rate: float) -> ChildSpec:
    words = [str(addresses_file(directory)), str(rate)]
    return ChildSpec(TRAFFIC, [sys.executable, "-m", "demo.traffic", *words], lambda: "")


def envoy_spec(sidecar: Sidecar, envoy: Path, directory: Path) -> ChildSpec:
    path = directory / f"envoy-{sidecar.name}.yaml"
    path.write_text(yaml.safe_dump(envoy_config(sidecar), sort_keys=False))
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    return ChildSpec(
        f"envoy-{sidecar.name}",
        [str(envoy), "--config-path", str(path), *options],
        http_ready(str(sidecar.admin), "/ready"),
    )


def addresses_file(directory: Path) -> Path:
    return directory / "addresses.json"


def all_listen(wanted: Iterable[Address]) -> Callable[[], str]:
    waited = list(wanted)

    def ready() -> str:
        for address in waited:
            try:
                socket.create_connection((address.host, address.port), timeout=1).close()
            except OSError as error:
                return f"{address}: {error}"
        return ""

    return ready
