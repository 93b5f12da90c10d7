"""Prometheus remote write: the points of its series as rows.

A series says what it is only in version 2, or if the request tells of its metric; else its name
has to. `job` and `instance` are the resource's, all other labels the point's.
"""

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from collector.decoders.decoded import Collected, DeadLetter
from collector.decoders.envelopes import Around, write_request
from collector.decoders.inspection import Inspection
from collector.decoders.limits import (
    MAX_ITEMS,
    MAX_KEY_BYTES,
    Reason,
    Refusal,
    refused_time,
)
from collector.decoders.metric_values import BadPoint, Values
from collector.decoders.otlp_metrics import hashed
from collector.decoders.remote_histogram import kind_of, values_of
from collector.decoders.remote_series import (
    METADATA,
    NAME,
    SERIES,
    SERIES_V2,
    SYMBOLS,
    Labels,
    Series,
    series_of,
)
from collector.decoders.span_rules import UNKNOWN, service_name
from collector.decoders.text import cut, limited
from collector.errors import TooLarge
from collector.model import Report, Signal
from collector.proto import remote_write_pb2 as pb
from collector.store.tables import MetricPointRow

MS = 1_000_000  # nanoseconds
STALE = 0x7FF0000000000002  # the bits of the value that says: this series has ended

JOB, INSTANCE = "job", "instance"
OWN_LABELS = frozenset({NAME, JOB, INSTANCE})
# Jobs that are of many services: which one, other labels say.
SHARED_JOBS = frozenset({"linkerd-proxy", "kubernetes-pods", "kubernetes-endpoints", "envoy-stats"})
WORKLOAD_LABELS = {
    "k8s.deployment.name": "deployment",
    "k8s.statefulset.name": "statefulset",
    "k8s.daemonset.name": "daemonset",
    "app": "app",
    "k8s.namespace.name": "namespace",
}

COUNTER_SUFFIXES = ("_total", "_count", "_sum", "_bucket")
PARTS_SUFFIXES = ("_count", "_sum", "_bucket")
GAUGE_TYPES = frozenset({pb.GAUGE, pb.GAUGEHISTOGRAM, pb.INFO, pb.STATESET})
# Linkerd 1 has colons in its names and says of nothing what it is. These it only ever adds to;
# its _count and _sum are of the last minute.
LINKERD = "rt:"
LINKERD_COUNTERS = (":requests", ":success", ":failures")

Point = pb.Sample | pb.Histogram


def decode(report: Report, out: Collected) -> None:
    """Raises Unreadable, TooLarge."""
    for raw, found in list(series_of(report.signal, report.body)):  # all, before any is added
        if not isinstance(found, Series):
            out.dead.append(DeadLetter.of(report, found, raw, AS_SENT.get(report.signal)))
            continue
        origin = origin_of(found, report.identity)
        for sample in found.samples:
            if is_stale(sample.value):
                out.skipped += 1
            else:
                add(sample, found, origin, report, out)
        for histogram in found.histograms:
            if is_stale(histogram.sum):
                out.skipped += 1
            else:
                add(histogram, found, origin, report, out)


def inspect(signal: Signal, body: bytes, received_ns: int) -> "Written":
    """What a front-end has to know. Raises Malformed, and TooLarge over MAX_ITEMS points."""
    found = Written()
    for series, (_, read) in enumerate(series_of(signal, body)):
        if series == MAX_ITEMS:
            raise TooLarge(f"a request may hold {MAX_ITEMS} series")
        if not isinstance(read, Series):
            found.note(read)
            continue
        for sample in read.samples:
            found.samples += found.accepts(sample, received_ns)
        for histogram in read.histograms:
            found.histograms += found.accepts(histogram, received_ns)
    return found


@dataclass
class Written(Inspection):
    """Also what version 2 wants to be told: how many of each will be stored."""

    samples: int = 0
    histograms: int = 0

    def accepts(self, point: Point, received_ns: int) -> bool:
        """Raises TooLarge."""
        refusal = refused_time(point.timestamp * MS, received_ns, "time")
        self.note(refusal)
        if self.items > MAX_ITEMS:
            raise TooLarge(f"a request may hold {MAX_ITEMS} samples")
        return refusal is None


class Origin(NamedTuple):
    """Whose points they are, and what tells them apart there."""

    service: str
    node: str
    sender: int
    resource: dict[str, str]
    attributes: dict[str, str]


def origin_of(series: Series, identity: str) -> Origin:
    labels = series.labels
    job, instance = cut(labels.get(JOB, "")), cut(labels.get(INSTANCE, ""))
    resource = {"service.name": job, "service.instance.id": instance}
    return Origin(
        service=service_of(labels, job),
        node=identity,
        sender=sender_of(job, instance, "" if instance else identity),
        resource={key: value for key, value in resource.items() if value},
        attributes=limited({key: labels[key] for key in labels if key not in OWN_LABELS}),
    )


@lru_cache(maxsize=4096)
def sender_of(job: str, instance: str, identity: str) -> int:
    return hashed([job, instance, identity])


def service_of(labels: Labels, job: str) -> str:
    """The job, or the workload that a shared one's labels tell."""
    told = {key: cut(labels.get(label, "")) for key, label in WORKLOAD_LABELS.items()}
    found = service_name({"service.name": "" if job in SHARED_JOBS else job, **told})
    return found if found != UNKNOWN else job or UNKNOWN


def add(point: Point, series: Series, origin: Origin, report: Report, out: Collected) -> None:
    made = row(point, series, origin, report.received_ns)
    if isinstance(made, MetricPointRow):
        out.rows.append(made)
    else:
        item, around = ALONE[report.signal](point, series)
        out.dead.append(DeadLetter.of(report, made, item, around))


def alone(point: Point, series: Series) -> tuple[bytes, Around]:
    """The point in a series of its own, and what version 1 says of its metric around it."""
    labels = [pb.Label(name=name, value=value) for name, value in series.labels.items()]
    about = pb.Metadata(
        metric_family_name=series.labels[NAME], type=series.type, unit=series.unit
    ).SerializeToString()
    item = pb.Series(labels=labels, **points(point)).SerializeToString()
    return item, write_request(SERIES, (METADATA, about))


def alone_2(point: Point, series: Series) -> tuple[bytes, Around]:
    """The same in version 2, with the symbols that its series refers to."""
    texts = [text for label in series.labels.items() for text in label]
    symbols = [(SYMBOLS, text.encode()) for text in ("", *texts, series.unit)]
    item = pb.SeriesV2(
        labels_refs=range(1, len(texts) + 1),
        metadata=pb.MetadataV2(type=series.type, unit_ref=len(texts) + 1),
        created_timestamp=series.created_ms,
        **points(point),
    ).SerializeToString()
    return item, write_request(SERIES_V2, *symbols)


def points(point: Point) -> dict[str, Any]:
    return {"samples" if isinstance(point, pb.Sample) else "histograms": [point]}


# A series that cannot be read refers to symbols of its request, in version 2.
AS_SENT: dict[Signal, Around] = {Signal.REMOTE_WRITE: write_request(SERIES)}
ALONE = {Signal.REMOTE_WRITE: alone, Signal.REMOTE_WRITE_V2: alone_2}


def row(point: Point, series: Series, origin: Origin, received_ns: int) -> MetricPointRow | Refusal:
    time_ns = point.timestamp * MS
    refusal = refused_time(time_ns, received_ns, "time")
    if refusal:
        return refusal
    metric = cut(series.labels[NAME], MAX_KEY_BYTES)
    try:
        kind, temporality, values = what_it_is(point, series)
    except BadPoint as error:
        return Reason.BAD_POINT, str(error)
    # A point made when the counting began has nothing in it yet.
    start_ms = point.start_timestamp or series.created_ms
    return MetricPointRow(
        time=time_ns,
        start=max(0, min(start_ms * MS, time_ns)),
        metric=metric,
        kind=kind,
        temporality=temporality,
        monotonic=int(temporality == "cumulative"),
        unit=cut(series.unit),
        service=origin.service,
        node=origin.node,
        sender=origin.sender,
        series=hashed(
            [origin.sender, metric, kind, temporality, sorted(origin.attributes.items())]
        ),
        scope="",
        attributes=origin.attributes,
        resource=origin.resource,
        **values,
    )


def what_it_is(point: Point, series: Series) -> tuple[str, str, Values]:
    """Kind, temporality and values. Raises BadPoint."""
    if isinstance(point, pb.Histogram):
        counts_on = point.reset_hint != pb.NOT_CUMULATIVE
        return kind_of(point), "cumulative" if counts_on else "none", values_of(point)
    value = point.value
    values: Values = {"double": value} if math.isfinite(value) else {"non_finite": str(value)}
    if is_counter(series.labels[NAME], series.type):
        return "sum", "cumulative", values
    return "gauge", "none", values


def is_counter(name: str, type_: int) -> bool:
    if type_ == pb.COUNTER:
        return True
    if type_ in GAUGE_TYPES:
        return False
    if type_ in (pb.HISTOGRAM, pb.SUMMARY):
        return name.endswith(PARTS_SUFFIXES)
    if ":" in name:  # of Linkerd 1, or of a recording rule
        return name.startswith(LINKERD) and name.endswith(LINKERD_COUNTERS)
    return name.endswith(COUNTER_SUFFIXES)


def is_stale(value: float) -> bool:
    return math.isnan(value) and struct.pack(">d", value) == STALE.to_bytes(8, "big")
