"""CPU of OTLP/JSON beside protobuf's, in microseconds per span.

    python -m benchmarks.otlp_json [--rounds 9] [--requests 8]

The same requests of 512 spans with 12 attributes in both encodings: what the front-end looks at,
and what the worker decodes; and, for the ratio, protobuf's own reader of JSON, which stops at the
message.
"""

import argparse
import random
import statistics
import time

from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.ingest import ATTRIBUTES, SPANS, own_cpu_us, request
from collector.decoders import decode_group
from collector.decoders.otlp_json_traces import inspect_traces_json
from collector.decoders.skeleton import inspect_traces
from collector.model import Report, Signal
from tests.collector.otlp_messages import as_json


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=8)
    asked = parser.parse_args()
    now_ns = time.time_ns()
    dice = random.Random(7)
    binary = [request(dice, now_ns) for _ in range(asked.requests)]
    text = [as_json(ExportTraceServiceRequest.FromString(body)) for body in binary]
    reports = [Report(Signal.OTLP_TRACES, body, now_ns) for body in binary]
    told = [Report(Signal.OTLP_TRACES_JSON, body, now_ns) for body in text]
    if decode_group(reports, 0) != decode_group(told, 0):
        raise SystemExit("the two encodings give different rows")
    steps = {
        "front-end, protobuf": lambda: [inspect_traces(body, now_ns) for body in binary],
        "front-end, JSON": lambda: [inspect_traces_json(body, now_ns) for body in text],
        "worker, protobuf": lambda: decode_group(reports, 0),
        "worker, JSON": lambda: decode_group(told, 0),
        "json_format.Parse alone": lambda: [
            Parse(body, ExportTraceServiceRequest()) for body in text
        ],
    }
    spans = asked.requests * SPANS
    sizes = [sum(map(len, bodies)) / spans for bodies in (binary, text)]
    print(f"{spans} spans of {ATTRIBUTES} attributes; bytes a span: {sizes[0]:.0f} in protobuf, "
          f"{sizes[1]:.0f} in JSON; median of {asked.rounds} rounds")  # fmt: skip
    for name, step in steps.items():
        costs = [own_cpu_us(step) / spans for _ in range(asked.rounds)]
        print(f"  {name:24} {statistics.median(costs):7.2f} µs  (best {min(costs):.2f})")


if __name__ == "__main__":
    main()
