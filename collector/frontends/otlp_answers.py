"""What an OTLP sender is answered, in the encoding it spoke."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from collector.transport.http import JSON, RawAnswer
from collector.transport.status import Headers, StatusCode

TYPE_PROTOBUF, TYPE_JSON = "application/x-protobuf", "application/json"
PROTOBUF = (b"content-type", TYPE_PROTOBUF.encode())
HEADERS = {TYPE_PROTOBUF: PROTOBUF, TYPE_JSON: JSON}


class Rejection(NamedTuple):
    """A signal's `partial_success`: the response that has it, and its count's name in there."""

    response: type[Message]
    field: str

    def told(self, count: int, reasons: Sequence[str]) -> Message:
        """The response that says so; an empty one when all was accepted."""
        answer = self.response()
        if count:
            told: Any = answer
            setattr(told.partial_success, self.field, count)
            told.partial_success.error_message = "; ".join(reasons)
        return answer


def encoded(message: Message, content_type: str) -> bytes:
    """In JSON unless the type is protobuf's."""
    if content_type == TYPE_PROTOBUF:
        return message.SerializeToString()
    return MessageToJson(message, indent=None).encode() + b"\n"


def failure(
    status: int, headers: Headers, code: StatusCode, message: str, content_type: str
) -> RawAnswer:
    """With a google.rpc.Status in the request's own encoding, as the specification wants."""
    body = encoded(Status(code=code, message=message), content_type)
    return RawAnswer(status, [HEADERS.get(content_type, JSON), *headers], body)
