"""How a gRPC call ends: codes, RpcError, and their trailers.

Sources: https://grpc.github.io/grpc/core/md_doc_statuscodes.html,
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

import random
from base64 import b64encode
from collections.abc import Mapping, Sequence
from enum import IntEnum
from urllib.parse import quote

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from collector.errors import (
    CollectorError,
    Malformed,
    TooLarge,
    TooSlow,
    Unready,
    Unsupported,
)

MAX_MESSAGE_CHARS = 1024  # of grpc-message: clients cap a header list at 8 KiB
PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")

Headers = list[tuple[bytes, bytes]]


class StatusCode(IntEnum):
    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """Ends a call with a code other than OK. The peer reads the message."""

    def __init__(
        self,
        code: StatusCode,
        message: str = "",
        details: Sequence[Message] = (),
        trailers: Mapping[str, str | bytes] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.trailers = trailers or {}


CODES: dict[type[CollectorError], StatusCode] = {
    Malformed: StatusCode.INVALID_ARGUMENT,
    TooSlow: StatusCode.DEADLINE_EXCEEDED,
    TooLarge: StatusCode.RESOURCE_EXHAUSTED,
    Unsupported: StatusCode.UNIMPLEMENTED,
    Unready: StatusCode.UNAVAILABLE,
}


def rpc_error(error: CollectorError) -> RpcError:
    """The collector's errors as gRPC codes. "Send it again" carries RetryInfo of 1 to 1.5 s.

    RetryInfo goes out in grpc-status-details-bin and in google.rpc.retryinfo-bin: the
    OpenTelemetry SDKs read the one or the other.
    """
    code = next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), StatusCode.INTERNAL)
    if code is not StatusCode.UNAVAILABLE:
        return RpcError(code, str(error))
    jitter_ns = random.randrange(500_000_000)  # noqa: S311 (spreads retries, guards nothing)
    retry = RetryInfo(retry_delay=Duration(seconds=1, nanos=jitter_ns))
    trailers = {"google.rpc.retryinfo-bin": retry.SerializeToString()}
    return RpcError(code, str(error), [retry], trailers)


def error_trailers(error: RpcError) -> Headers:
    trailers = [(b"grpc-status", b"%d" % error.code)]
    message = error.message[:MAX_MESSAGE_CHARS]
    if message:
        trailers.append((b"grpc-message", quote(message, safe=PRINTABLE).encode()))
    if error.details:
        status = Status(code=error.code, message=message)
        for detail in error.details:
            status.details.add().Pack(detail)
        trailers.append((b"grpc-status-details-bin", b64encode(status.SerializeToString())))
    return trailers + encode_metadata(error.trailers)


def encode_metadata(values: Mapping[str, str | bytes]) -> Headers:
    """Bytes, allowed under names ending in -bin, are sent as base64."""
    return [
        (name.encode(), b64encode(value) if isinstance(value, bytes) else value.encode("latin-1"))
        for name, value in values.items()
    ]
