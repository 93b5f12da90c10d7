"""Which connections of the embedded set lead through a proxy, and whose they are."""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from chaos.proxy import Proxies
from collector.settings import PREFIX, Settings, host_port


class Way(NamedTuple):
    process: str  # that is told the proxy's address
    setting: str  # in this one


WAYS = {
    "collector-broker": Way("collector", "broker_url"),
    "collector-counters": Way("collector", "redis_url"),
    "worker-broker": Way("worker", "broker_url"),
    "worker-store": Way("worker", "clickhouse_url"),
    "worker-collector": Way("collector", "collector_url"),  # it tells workers where it is
}


def proxies_of(settings: Settings) -> Proxies:
    return Proxies({name: end_of(settings, way) for name, way in WAYS.items()})


def end_of(settings: Settings, way: Way) -> tuple[str, int]:
    return host_port(urlsplit(getattr(settings, way.setting)).netloc)


def environs(settings: Settings, proxies: Proxies) -> Mapping[str, Mapping[str, str]]:
    """For each process the variables that lead it through its proxies."""
    found: dict[str, dict[str, str]] = {}
    for name, way in WAYS.items():
        url = urlsplit(getattr(settings, way.setting))
        led = url._replace(netloc=proxies.address(name)).geturl()
        found.setdefault(way.process, {})[PREFIX + way.setting.upper()] = led
    return found
