"""Thrift's binary protocol: structs as dicts by field number, whatever their schema.

Source: apache/thrift, doc/specs/thrift-binary-protocol.md.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from collector.decoders.lenient import Unreadable
from collector.errors import TooLarge

STOP, BOOL, BYTE, DOUBLE, I16, I32, I64 = 0, 2, 3, 4, 6, 8, 10
STRING, STRUCT, MAP, SET, LIST = 11, 12, 13, 14, 15
LAYOUTS = {
    BYTE: struct.Struct(">b"),
    DOUBLE: struct.Struct(">d"),
    I16: struct.Struct(">h"),
    I32: struct.Struct(">i"),
    I64: struct.Struct(">q"),
}
NUMBERS = {kind: (layout.unpack_from, layout.size) for kind, layout in LAYOUTS.items()}
VERSION_1 = 0x8001
CALL, REPLY, EXCEPTION = 1, 2, 3

MAX_DEPTH = 16
MAX_VALUES = 1_000_000  # of one body: each costs memory, an empty one no byte but its own

TOO_EARLY = "the Thrift body ends too early"

Fields = dict[int, Any]


class Call(NamedTuple):
    name: str
    sequence: int
    arguments: bytes


class Reader:
    """Reads on from where it stopped. Raises Unreadable at the first byte that cannot be right,
    and TooLarge after MAX_VALUES."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._values = 0

    @property
    def rest(self) -> bytes:
        return self._body[self._at :]

    def structs(self) -> Iterator[tuple[Fields, bytes]]:
        """A list of structs, one at a time, each with its own bytes."""
        if self._number(BYTE) != STRUCT:
            raise Unreadable("not a Thrift list of structs")
        size = self._size()
        for _ in range(size):
            start = self._at
            yield self.struct(), self._body[start : self._at]

    def struct(self, depth: int = 0) -> Fields:
        found: Fields = {}
        body = self._body
        while True:
            try:
                kind = body[self._at]
                if kind == STOP:
                    self._at += 1
                    return found
                number = body[self._at + 1] << 8 | body[self._at + 2]
            except IndexError:
                raise Unreadable(TOO_EARLY) from None
            self._at += 3
            found[number] = self._value(kind, depth)

    def call(self) -> Call:
        """A message's head, in either form; what follows is its arguments."""
        head = self._number(I32)
        if head < 0:
            if head >> 16 & 0xFFFF != VERSION_1:
                raise Unreadable("not a Thrift message of version 1")
            kind, name = head & 0xFF, self._string()
        else:
            name, kind = self._take(head), self._number(BYTE)
        if kind != CALL:
            raise Unreadable(f"Thrift message of kind {kind} is no call")
        return Call(name.decode("latin-1"), self._number(I32), self.rest)

    def _value(self, kind: int, depth: int) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise TooLarge(f"a Thrift body may hold {MAX_VALUES} values")
        if kind == STRING:
            return self._string()
        if kind in NUMBERS:
            return self._number(kind)
        if kind == BOOL:
            return self._number(BYTE) != 0
        if depth == MAX_DEPTH:
            raise Unreadable(f"Thrift values nested over {MAX_DEPTH} deep")
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (LIST, SET):
            inner, size = self._number(BYTE), self._size()
            return [self._value(inner, depth + 1) for _ in range(size)]
        if kind == MAP:
            key, inner, size = self._number(BYTE), self._number(BYTE), self._size()
            return [
                (self._value(key, depth + 1), self._value(inner, depth + 1)) for _ in range(size)
            ]
        raise Unreadable(f"unknown Thrift type {kind}")

    def _number(self, kind: int) -> Any:
        unpack, size = NUMBERS[kind]
        try:
            (found,) = unpack(self._body, self._at)
        except struct.error as error:
            raise Unreadable(TOO_EARLY) from error
        self._at += size
        return found

    def _string(self) -> bytes:
        return self._take(self._size())

    def _size(self) -> int:
        size: int = self._number(I32)
        if size < 0:
            raise Unreadable(f"a Thrift length of {size}")
        return size

    def _take(self, size: int) -> bytes:
        start, self._at = self._at, self._at + size
        if self._at > len(self._body):
            raise Unreadable(TOO_EARLY)
        return self._body[start : self._at]


def reply(call: Call, result: int) -> bytes:
    """Of a method that returns an i32 or an enum."""
    return message(REPLY, call, field(I32, 0) + LAYOUTS[I32].pack(result))


def application_error(call: Call, kind: int, why: str) -> bytes:
    """A TApplicationException in place of the reply."""
    told = field(STRING, 1) + string(why) + field(I32, 2) + LAYOUTS[I32].pack(kind)
    return message(EXCEPTION, call, told)


def message(kind: int, call: Call, fields: bytes) -> bytes:
    head = struct.pack(">Hxb", VERSION_1, kind) + string(call.name)
    return head + LAYOUTS[I32].pack(call.sequence) + fields + bytes([STOP])


def field(kind: int, number: int) -> bytes:
    return LAYOUTS[BYTE].pack(kind) + LAYOUTS[I16].pack(number)


def string(value: str) -> bytes:
    raw = value.encode()
    return LAYOUTS[I32].pack(len(raw)) + raw
