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


class DuplexHandler(Protocol):
    """One call on which messages also go out unasked. It ends when the peer or `pushes` ends."""

    def message(self, body: bytes) -> Awaitable[None]:
        """No further message is read before it has ended."""

    def pushes(self) -> AsyncIterable[bytes]:
        """What to send, as it comes; asked for once, and cancelled when the call is over."""

    def closed(self, *, peer_left: bool) -> None:
        """The call is over: the peer ended it or went away, or it was ended here."""


@dataclass(frozen=True, slots=True)
class UnaryMethod:
    answer: Unary
    max_message_bytes: int = MAX_MESSAGE_BYTES  # decompressed
    admit: Callable[[], None] | None = None  # asked before the message is read; raises to refuse


@dataclass(frozen=True, slots=True)
class StreamMethod:
    """Client, server and bidirectional streams alike, that answer what they are told."""

    start: Callable[[Metadata], StreamHandler]
    max_message_bytes: int = MAX_MESSAGE_BYTES  # decompressed


@dataclass(frozen=True, slots=True)
class DuplexMethod:
    """Bidirectional streams whose two directions know nothing of each other."""

    start: Callable[[Metadata], DuplexHandler]
    max_message_bytes: int = MAX_MESSAGE_BYTES  # decompressed


GrpcMethods = Mapping[str, UnaryMethod | StreamMethod | DuplexMethod]
