"""A group of reports as bytes: what travels from a collector to a worker.

Each report is a frame:

    length of the header, 4 bytes, big-endian
    header, JSON: {"signal": …, "identity": …, "received_ns": …, "items": …, "size": …}
    body, `size` bytes, as it was accepted
"""

import json
import struct
from collections.abc import Sequence

from collector.errors import Malformed
from collector.model import Report, Signal

MEDIA_TYPE = "application/x-meshmeter-reports"
COUNT_HEADER = "x-meshmeter-reports"
ATTEMPT_HEADER = "x-meshmeter-attempt"
REPLAYED_HEADER = "x-meshmeter-replayed"
LENGTH = struct.Struct(">I")


def encode_reports(reports: Sequence[Report]) -> bytes:
    frames: list[bytes] = []
    for report in reports:
        header = {
            "signal": report.signal.value,
            "identity": report.identity,
            "received_ns": report.received_ns,
            "items": report.items,
            "size": len(report.body),
        }
        text = json.dumps(header).encode()
        frames += (LENGTH.pack(len(text)), text, report.body)
    return b"".join(frames)


def decode_reports(data: bytes) -> list[Report]:
    """Raises Malformed."""
    reports: list[Report] = []
    offset = 0
    try:
        while offset < len(data):
            (length,) = LENGTH.unpack_from(data, offset)
            start = offset + LENGTH.size + length
            header = json.loads(data[offset + LENGTH.size : start])
            offset = start + header["size"]
            if offset > len(data):
                raise Malformed("the last report is cut short")
            body = data[start:offset]
            signal = Signal(header["signal"])
            reports.append(
                Report(signal, body, header["received_ns"], header["identity"], header["items"])
            )
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise Malformed(f"not a group of reports: {type(error).__name__}") from error
    return reports
