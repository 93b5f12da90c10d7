"""What serves a gRPC method: plain functions of metadata and message bytes."""

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from collector.transport.framing import MAX_MESSAGE_BYTES
from collector.transport.metadata import Metadata


@dataclass(frozen=True, slots=True)
class Reply:
    """A unary answer with metadata around it. Bytes go under names ending in -bin."""

    message: bytes
    initial_metadata: Mapping[str, str | bytes] = field(default_factory=dict)
    trailing_metadata: Mapping[str, str | bytes] = field(default_factory=dict)


Answer = bytes | Reply
Unary = Callable[[Metadata, bytes], Answer | Awaitable[Answer]]
Messages = Iterable[bytes] | AsyncIterable[bytes]


class StreamHandler(Protocol):
    """One call's messages, as they come; both methods give what to answer, oldest first.

    No further message is read before an awaitable, or an async iterable, has ended.
    """

    def message(self, body: bytes) -> Messages | Awaitable[Messages]: ...

    def end(self) -> Messages | Awaitable[Messages]:
        """The peer will send no more. Not called when it went away or ran out of time."""


@dataclass(frozen=True, slots=True)
class UnaryMethod:
    answer: Unary
    max_message_bytes: int = MAX_MESSAGE_BYTES  # decompressed


@dataclass(frozen=True, slots=True)
class StreamMethod:
    """Client, server and bidirectional streams alike."""

    start: Callable[[Metadata], StreamHandler]
    max_message_bytes: int = MAX_MESSAGE_BYTES  # decompressed


GrpcMethods = Mapping[str, UnaryMethod | StreamMethod]
