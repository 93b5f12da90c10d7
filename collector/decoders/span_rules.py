"""What spans of every protocol are made to agree on, whoever sent them.

Sources: HTTP semantic conventions 1.20 and before; the names and tags of Envoy's, Traefik's and
Linkerd's own spans, read off the wire.
"""

import re
from collections.abc import Mapping

from collector.look_alikes import composed

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5  # OTLP's SpanKind
STATUS_UNSET, STATUS_OK, STATUS_ERROR = 0, 1, 2  # and its StatusCode
MAX_TIME_NS = 2**63 - 1  # what DateTime64(9) holds

# Attributes of ours, that say what was wrong with a span.
CLOCK_SKEW = "meshmeter.clock_skew"  # ended before it started, or was never said to end
SELF_PARENT = "meshmeter.self_parent"
DROPPED_EVENTS = "meshmeter.dropped_events"
NO_TIME = "meshmeter.no_time"  # its time is when it was received

# Envoy and Linkerd send every attribute as text; the last is Linkerd 1's.
STATUS_KEYS = ("http.response.status_code", "http.status_code", "http.rsp.status")

UNKNOWN = "unknown"
# Names of programs that stand before many services: which one, the resource says elsewhere.
SHARED_NAMES = frozenset({"", "envoy", "istio-proxy", "linkerd-proxy", UNKNOWN})
UNNAMED_PREFIX = "unknown_service"  # an OpenTelemetry SDK that was told no name
WORKLOAD_KEYS = (
    "linkerd.io/proxy-deployment",
    "linkerd.io/proxy-statefulset",
    "linkerd.io/proxy-daemonset",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
    "app.kubernetes.io/name",
    "app",
)
NAMESPACE_KEYS = ("linkerd.io/workload-ns", "k8s.namespace.name", "service.namespace")

ENVOYS_CALL = "async envoy.service."  # and the gRPC method it asks, such as a check
CHECK_TAGS = ("ext_authz_status", "ratelimit_status")
TRAEFIKS_CHECK = "AuthRequest"
OT_MEMBER = re.compile(r"(?:^|,)[ \t]*ot=([^,]*)")
THRESHOLD = re.compile(r"[0-9a-f]{1,14}")
POWER = re.compile(r"[0-9]{1,2}")
MAX_WEIGHT = 1e6
CHECK_PATH = "/v1/check"  # where Traefik asks us
URL_KEYS = ("url.full", "http.url")


def http_status(attributes: Mapping[str, str]) -> int:
    """0 when there is none; Envoy says "0" of a request that got no answer."""
    for key in STATUS_KEYS:
        status = status_number(attributes.get(key, ""))
        if status >= 0:
            return status
    return 0


def status_number(text: str) -> int:
    """Of three digits; -1 of anything else."""
    return int(text) if len(text) == 3 and text.isascii() and text.isdigit() else -1


def is_failure(status: int, kind: int) -> bool:
    """By its HTTP status alone."""
    return status >= 500 and kind in (SERVER, CLIENT)


def service_name(resource: Mapping[str, str]) -> str:
    """`service.name`, or `workload.namespace` where that name is shared and the workload told; in
    normal form C."""
    name = composed(resource.get("service.name", ""))
    if name not in SHARED_NAMES and not name.startswith(UNNAMED_PREFIX):
        return name
    workload = first(resource, WORKLOAD_KEYS)
    namespace = first(resource, NAMESPACE_KEYS)
    if workload and namespace:
        return f"{workload}.{namespace}"
    return workload or name or UNKNOWN


def first(found: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((found[key] for key in keys if found.get(key)), "")


def span_weight(kind: int, name: str, attributes: Mapping[str, str]) -> float:
    """How many of the mesh's requests a span stands for: none, if it is a proxy's own check.

    Such a span is in its trace and in no graph.
    """
    return 0.0 if kind == CLIENT and is_check(name, attributes) else 1.0


def sampling_weight(trace_state: str) -> float:
    """How many spans a sampled one stands for, by the `ot` entry of its W3C `tracestate`.

    `th` is the threshold below which traces were left out, in hexadecimal fractions of 1; `p`,
    which it replaced, the power of 2 that one in so many was kept of. 1 for what makes no sense,
    and for a weight nobody would sample by. Sources: OpenTelemetry, TraceState: Probability
    Sampling, 1.56; and its first version, 1.9.
    """
    found = OT_MEMBER.search(trace_state)
    fields = dict(part.partition(":")[::2] for part in found[1].split(";")) if found else {}
    threshold, power = fields.get("th"), fields.get("p", "")
    weight = 1.0
    if threshold is not None:
        if THRESHOLD.fullmatch(threshold):
            whole = 16 ** len(threshold)
            weight = whole / (whole - int(threshold, 16))
    elif POWER.fullmatch(power):
        weight = 2.0 ** int(power)
    return weight if weight <= MAX_WEIGHT else 1.0


def is_check(name: str, attributes: Mapping[str, str]) -> bool:
    if name.startswith(ENVOYS_CALL) or any(tag in attributes for tag in CHECK_TAGS):
        return True
    if name != TRAEFIKS_CHECK:
        return False
    return CHECK_PATH in first(attributes, URL_KEYS)
