"""Protobuf whose text is not all UTF-8.

The parser refuses a whole message for one bad byte in one of its strings. Here such a message is
parsed again by the same schema with its strings declared bytes, and the bad bytes become U+FFFD.
"""

from functools import cache
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from collector.errors import Malformed

Parsed = TypeVar("Parsed", bound=Message)


class Unreadable(Malformed):
    """Not even so."""


def parse(kind: type[Parsed], body: bytes) -> Parsed:
    """Raises Unreadable."""
    try:
        return kind.FromString(body)
    except DecodeError:
        pass
    try:
        message = raw_class(kind.DESCRIPTOR).FromString(body)
        repair(message, kind.DESCRIPTOR)
        return kind.FromString(message.SerializeToString())
    except DecodeError as error:
        raise Unreadable(f"not a {kind.DESCRIPTOR.name}: {error}") from error


@cache
def raw_class(schema: Any) -> type[Message]:
    """The class of the same message, on the wire, with bytes in place of strings."""
    pool = DescriptorPool()

    def add(file: Any) -> None:
        for dependency in file.dependencies:
            add(dependency)
        copied = FileDescriptorProto.FromString(file.serialized_pb)
        for message in copied.message_type:
            strings_to_bytes(message)
        pool.Add(copied)

    add(schema.file)
    return GetMessageClass(pool.FindMessageTypeByName(schema.full_name))


def strings_to_bytes(message: DescriptorProto) -> None:
    # A map's key cannot be bytes, a repeated entry's can, and they are the same on the wire.
    message.options.ClearField("map_entry")
    for field in message.field:
        if field.type == FieldDescriptorProto.TYPE_STRING:
            field.type = FieldDescriptorProto.TYPE_BYTES
    for nested in message.nested_type:
        strings_to_bytes(nested)


def repair(message: Message, schema: Any) -> None:
    """Make valid what `schema` calls a string; what it calls bytes, such as an id, stays."""
    for field, value in message.ListFields():
        told = schema.fields_by_number[field.number]
        values = value if field.is_repeated else [value]
        if told.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in values:
                repair(inner, told.message_type)
        elif told.type == FieldDescriptor.TYPE_STRING:
            valid = [inner.decode("utf-8", "replace").encode() for inner in values]
            if field.is_repeated:
                value[:] = valid
            else:
                setattr(message, field.name, valid[0])
