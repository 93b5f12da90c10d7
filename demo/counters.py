"""What the Envoys themselves counted, from their admin ports.

Sources: Envoy's statistics of the HTTP connection manager (`http.inbound.*`), ext_authz,
rate limit (`cluster.app.ratelimit.*`), the OpenTelemetry tracer and the gRPC access log.
"""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass

import httpx

from collector.sidecar.sidecar import Sidecar

REQUESTS = "http.inbound.downstream_rq_completed"
ALLOWED = ("http.inbound.ext_authz.ok", "cluster.app.ratelimit.ok")
DENIED = ("http.inbound.ext_authz.denied", "cluster.app.ratelimit.over_limit")
UNANSWERED = ("http.inbound.ext_authz.error", "cluster.app.ratelimit.error")
SPANS_SENT = "tracing.opentelemetry.spans_sent"
SPANS_DROPPED = "tracing.opentelemetry.spans_dropped"
LOGGED = "access_logs.grpc_access_log.logs_written"
LOGS_GONE = (
    "access_logs.grpc_access_log.grpc_entries_flushed",
    "access_logs.grpc_access_log.logs_dropped",
)
FILTER = "^(http[.]inbound|cluster[.]app|tracing|access_logs)[.]"


@dataclass(frozen=True)
class SidecarCounters:
    """Of one Envoy, or of several added up; requests and checks are those of inbound sides."""

    requests: int = 0
    allowed: int = 0
    denied: int = 0
    unanswered: int = 0  # checks that failed or came too late
    spans_sent: int = 0
    spans_dropped: int = 0
    logs_held: int = 0  # access log entries not yet sent

    def __add__(self, other: "SidecarCounters") -> "SidecarCounters":
        pairs = zip(astuple(self), astuple(other), strict=True)
        return SidecarCounters(*(mine + its for mine, its in pairs))


def all_counters(sidecars: Iterable[Sidecar], client: httpx.Client) -> SidecarCounters:
    """The sum over all sidecars. Raises httpx.HTTPError when one does not answer."""
    total = SidecarCounters()
    for sidecar in sidecars:
        url = f"http://{sidecar.admin}/stats"
        found = client.get(url, params={"usedonly": "", "filter": FILTER})
        found.raise_for_status()
        total += counters(parsed(found.text))
    return total


def parsed(text: str) -> dict[str, int]:
    """Counters and gauges of a /stats answer; histograms are left out."""
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name: int(value) for name, _, value in pairs if value.isdigit()}


def counters(stats: Mapping[str, int]) -> SidecarCounters:
    """A counter that Envoy has not used yet is 0."""

    def total(names: Iterable[str]) -> int:
        return sum(stats.get(name, 0) for name in names)

    return SidecarCounters(
        requests=total([REQUESTS]),
        allowed=total(ALLOWED),
        denied=total(DENIED),
        unanswered=total(UNANSWERED),
        spans_sent=total([SPANS_SENT]),
        spans_dropped=total([SPANS_DROPPED]),
        logs_held=total([LOGGED]) - total(LOGS_GONE),
    )
