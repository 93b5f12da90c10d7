"""Attributes in OTLP/JSON: objects with the fields of the messages they stand for.

So `collector.decoders.text` reads both. `strict=False` of their decoder makes numbers of the
strings that 64-bit integers are sent as.
Source: opentelemetry/proto/common/v1/common.proto
"""

from typing import Literal

from msgspec import Struct, field

Kind = Literal[
    "string_value",
    "bool_value",
    "int_value",
    "double_value",
    "array_value",
    "kvlist_value",
    "bytes_value",
]


class AnyValue(Struct, rename="camel", gc=False):
    """At most one field is told: the first that is, counts."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | None = None
    array_value: "ArrayValue | None" = None
    kvlist_value: "KeyValueList | None" = None
    bytes_value: bytes | None = None

    def WhichOneof(self, _name: str) -> Kind | None:  # noqa: N802 (protobuf's name)
        return next((kind for kind in KINDS if getattr(self, kind) is not None), None)


KINDS: tuple[Kind, ...] = (
    "string_value",
    "bool_value",
    "int_value",
    "double_value",
    "array_value",
    "kvlist_value",
    "bytes_value",
)


class KeyValue(Struct, gc=False):
    key: str = ""
    value: AnyValue = field(default_factory=AnyValue)


class ArrayValue(Struct, gc=False):
    values: list[AnyValue] = []


class KeyValueList(Struct, gc=False):
    values: list[KeyValue] = []


class Resource(Struct, gc=False):
    attributes: list[KeyValue] = []


class Scope(Struct, gc=False):
    name: str = ""
