"""From raw reports to rows, in the worker.

A decoder is deterministic: the same frozen group gives the same rows in the same order, whenever
and wherever it is decoded, since a second insert under the same token is dropped unseen. So:
no clock but the report's `received_ns`, no chance, no sets.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.util import find_spec

from collector.decoders import (
    als,
    decisions,
    otlp_logs,
    otlp_metrics,
    otlp_traces,
    remote_write,
    zipkin_json,
    zipkin_proto,
    zipkin_thrift,
)
from collector.decoders.decoded import Collected, DeadLetter, Decoded, SpanColumns
from collector.decoders.envelopes import nothing
from collector.decoders.limits import Reason
from collector.decoders.names import Over, Part, names_of, rename
from collector.errors import Refused
from collector.model import Account, Report, Signal

__all__ = ["DECODERS", "DeadLetter", "Decoded", "Decoder", "decode_group"]

Decoder = Callable[[Report, Collected], None]  # raises Refused when nothing of it can be read

DECODERS: dict[Signal, Decoder] = {
    Signal.OTLP_TRACES: otlp_traces.decode,
    Signal.OTLP_TRACES_JSON: otlp_traces.decode_json,
    Signal.OTLP_LOGS: otlp_logs.decode,
    Signal.OTLP_LOGS_JSON: otlp_logs.decode_json,
    Signal.OTLP_METRICS: otlp_metrics.decode,
    Signal.OTLP_METRICS_JSON: otlp_metrics.decode_json,
    Signal.ZIPKIN_JSON: zipkin_json.decode,
    Signal.ZIPKIN_JSON_V1: zipkin_json.decode,
    Signal.ZIPKIN_PROTO: zipkin_proto.decode,
    Signal.ZIPKIN_THRIFT: zipkin_thrift.decode,
    Signal.SCRIBE: zipkin_thrift.decode_scribe,
    Signal.REMOTE_WRITE: remote_write.decode,
    Signal.REMOTE_WRITE_V2: remote_write.decode,
    Signal.ALS: als.decode,
    Signal.DECISIONS: decisions.decode,
}


LEAST_SPANS = 200  # of a group, from which on columns are cheaper than rows


def decode_group(
    reports: Iterable[Report], group: int, over: Over | None = None, *, by_columns: bool = True
) -> Decoded:
    """Every item of every report is a row, a dead letter, or skipped and counted.

    `over` says, the same each time, which of the names in it are stored under another. OTLP traces
    are decoded by columns, where that is faster and not unwanted: to the same rows.
    """
    waiting = list(reports)
    parts = {signal: Collected() for signal in DECODERS}
    accounts: dict[tuple[Signal, str], Account] = {}
    slices: list[Part] = []
    spans = by_column(waiting, parts[Signal.OTLP_TRACES]) if by_columns else None
    told = iter(spans.told if spans else ())
    for report in waiting:
        out = parts[report.signal]
        first = len(out.rows)
        if spans and report.signal == Signal.OTLP_TRACES:
            account, named = next(told)
        else:
            account, named = decode(report, out), ()
        slices.append(Part(report.identity, out, first, len(out.rows), named))
        key = report.signal, report.identity
        accounts[key] = added(accounts[key], account) if key in accounts else account
    if over is not None and any((names := names_of(slices)).values()):
        without_place = over(names)
        if spans and any(without_place.values()):
            return decode_group(waiting, group, lambda _: without_place, by_columns=False)
        rename(slices, without_place)
    return Decoded.of(list(parts.values()), group, list(accounts.values()), spans)


def by_column(reports: Sequence[Report], out: Collected) -> SpanColumns | None:
    """The OTLP traces among them, if that is worth it and the packages are there: their wheels are
    not made for every machine."""
    traces = [report for report in reports if report.signal == Signal.OTLP_TRACES]
    if sum(report.items for report in traces) < LEAST_SPANS or not can_columns():
        return None
    from collector.decoders.columns.requests import decode_spans

    return decode_spans(traces, out, decode)


@cache
def can_columns() -> bool:
    return all(find_spec(name) for name in ("numpy", "ptars", "pyarrow"))


def decode(report: Report, out: Collected) -> Account:
    """What became of its items. A dead letter that cannot be read may stand for several of them:
    the points of a metric, or a whole body."""
    stored, dead, skipped = out.items, len(out.dead), out.skipped
    try:
        DECODERS[report.signal](report, out)
    except Refused as error:
        refusal = (Reason.UNREADABLE, str(error))
        out.around = nothing
        out.refuse(report, refusal, report.body)
    stored, skipped = out.items - stored, out.skipped - skipped
    refused = Counter(str(letter.reason) for letter in out.dead[dead:])
    if Reason.UNREADABLE in refused:
        refused[Reason.UNREADABLE] += report.items - stored - skipped - refused.total()
    return Account(report.signal, report.identity, stored, skipped, refused)


def added(one: Account, other: Account) -> Account:
    """Both of the same sender and signal."""
    refused = Counter(one.refused) + Counter(other.refused)
    return one._replace(
        stored=one.stored + other.stored, skipped=one.skipped + other.skipped, refused=refused
    )
