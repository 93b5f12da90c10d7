"""What a sidecar is to be: the facts a generated configuration is made from."""

from dataclasses import dataclass
from enum import StrEnum

from collector.errors import InvalidSetting


class CheckProtocol(StrEnum):
    """How the sidecar asks whether a request may pass."""

    EXT_AUTHZ_GRPC = "ext-authz-grpc"
    EXT_AUTHZ_HTTP = "ext-authz-http"
    RLS = "rls"
    RLQS = "rlqs"
    NONE = "none"


MAX_BUCKET_HEADERS = 4  # each doubles the configuration: a header may be absent


class FailureMode(StrEnum):
    """What a sidecar does with requests while no collector answers."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    def __post_init__(self) -> None:
        if not self.host or not 0 < self.port < 65536:
            raise InvalidSetting(f"{self.host}:{self.port} is not an address")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Upstream:
    """A service that the application calls: through `listen`, to the service's own sidecar."""

    service: str  # "cart.shop"
    address: Address
    listen: Address

    def __post_init__(self) -> None:
        check_service(self.service)


@dataclass(frozen=True)
class Sidecar:
    """`inbound` and `app` go together; without them the application only calls others.

    `descriptors` are further entries of a rate limit descriptor, or of the bucket of a rate limit
    quota, as (key, request header). `check_headers` are further request headers that a check over
    HTTP sees (over gRPC it sees all).
    """

    service: str  # "frontend.shop"
    node: str  # "frontend-1.shop"
    collector_grpc: Address
    collector_http: Address
    admin: Address
    inbound: Address | None = None
    app: Address | None = None
    upstreams: tuple[Upstream, ...] = ()
    check: CheckProtocol = CheckProtocol.EXT_AUTHZ_GRPC
    failure_mode: FailureMode = FailureMode.CLOSED
    sampling_percent: float = 100.0
    descriptors: tuple[tuple[str, str], ...] = ()
    check_headers: tuple[str, ...] = ()
    metrics: bool = False  # send counts of requests, bytes and latency too

    def __post_init__(self) -> None:
        check_service(self.service)
        if (self.inbound is None) != (self.app is None):
            raise InvalidSetting("a sidecar in front of an application needs both their ports")
        if self.inbound is None and not self.upstreams:
            raise InvalidSetting("a sidecar needs an application port or an outbound service")
        if not 0 <= self.sampling_percent <= 100:
            raise InvalidSetting(f"sampling of {self.sampling_percent} is not a percentage")
        if self.check is CheckProtocol.RLQS and len(self.descriptors) > MAX_BUCKET_HEADERS:
            raise InvalidSetting(f"a bucket of rlqs has at most {MAX_BUCKET_HEADERS} descriptors")
        listens = [upstream.listen for upstream in self.upstreams]
        ports = [address.port for address in (self.admin, self.inbound, *listens) if address]
        if twice := {port for port in ports if ports.count(port) > 1}:
            raise InvalidSetting(f"port {min(twice)} is used twice in one sidecar")

    @property
    def name(self) -> str:
        return self.service.partition(".")[0]

    @property
    def namespace(self) -> str:
        return self.service.partition(".")[2]


def qualified(service: str, namespace: str) -> str:
    """`cart` in the namespace `shop` is `cart.shop`; a full name stays as it is."""
    return service if "." in service else f"{service}.{namespace}"


def check_service(service: str) -> None:
    """Raises InvalidSetting unless it is NAME.NAMESPACE."""
    name, _, namespace = service.partition(".")
    words = [name, *namespace.split(".")]
    if not all(word.replace("-", "").replace("_", "").isalnum() for word in words):
        raise InvalidSetting(f"{service!r} is not a service's NAME.NAMESPACE")
