"""The server's packets as bytes, and what the client's packets say.

Only revision 54453 is spoken: the newest at which a Data packet is a BlockInfo and FORMAT Native,
so that blocks pass through undecoded.
Source: src/Core/Protocol.h, src/Core/ProtocolDefines.h, src/Server/TCPHandler.cpp
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from embedded.store.compression import Method, write_frames
from embedded.store.errors import Refused
from embedded.store.wire import Reader, string, varint

REVISION = 54453
# Neither an overflow of GROUP BY nor of a bucket: fields 1 and 2, then 0.
BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
NO_BLOCK = b"\x00\x00"
IMPORTANT = 1  # of a setting's flags: refuse the query rather than ignore the setting


class FromClient(IntEnum):
    HELLO = 0
    QUERY = 1
    DATA = 2
    CANCEL = 3
    PING = 4


class FromServer(IntEnum):
    HELLO = 0
    DATA = 1
    EXCEPTION = 2
    PROGRESS = 3
    PONG = 4
    END_OF_STREAM = 5
    PROFILE = 6


class Interface(IntEnum):
    """By which the client of a server that asks on its behalf had come to it; others tell no more
    of themselves. Source: src/Interpreters/ClientInfo.cpp"""

    TCP = 1
    HTTP = 2


PONG = bytes([FromServer.PONG])
END_OF_STREAM = bytes([FromServer.END_OF_STREAM])


@dataclass(frozen=True)
class Hello:
    client: str
    revision: int
    database: str


@dataclass(frozen=True)
class Setting:
    value: str
    important: bool


@dataclass(frozen=True)
class Query:
    """A statement; `codec` None: its blocks are not compressed, either way."""

    sql: str
    settings: Mapping[str, Setting]
    codec: Method | None


def read_hello(reader: Reader) -> Hello:
    client = reader.string()
    reader.varint()  # version, major and minor
    reader.varint()
    revision = reader.varint()
    database = reader.string()
    reader.string()  # user and password: the listener is reached from this machine alone
    reader.string()
    return Hello(client, revision, database)


def read_query(reader: Reader) -> Query:
    reader.string()  # the query's id, which the engine does not let us set
    skip_client_facts(reader)
    settings = read_settings(reader)
    reader.string()  # secret between servers
    reader.varint()  # stage, always complete
    compressed = bool(reader.varint())
    sql = reader.string()
    method = settings.get("network_compression_method")
    zstd = method is not None and method.value.upper() == "ZSTD"
    codec = Method.ZSTD if zstd else Method.LZ4
    return Query(sql, settings, codec if compressed else None)


def skip_client_facts(reader: Reader) -> None:
    if reader.byte() == 0:  # kind of query: none, and nothing follows
        return
    for _ in range(3):  # initial user, query id, address
        reader.string()
    reader.skip(8)  # initial start time
    interface = reader.byte()
    if interface == Interface.TCP:
        for _ in range(3):  # system user, host, client
            reader.string()
        for _ in range(3):  # version, major and minor, revision
            reader.varint()
    elif interface == Interface.HTTP:
        reader.skip(1)  # method
        for _ in range(3):  # user agent, forwarded for, referer
            reader.string()
    reader.string()  # quota key
    reader.varint()  # depth of distribution
    if interface == Interface.TCP:
        reader.varint()  # version, patch
    if reader.byte():  # trace id and span id, state, flags
        reader.skip(16 + 8)
        reader.string()
        reader.skip(1)
    for _ in range(3):  # parallel replicas
        reader.varint()


def read_settings(reader: Reader) -> dict[str, Setting]:
    settings = {}
    while name := reader.string():
        flags = reader.varint()
        settings[name] = Setting(reader.string(), bool(flags & IMPORTANT))
    return settings


def skip_block_info(reader: Reader) -> None:
    while field := reader.varint():
        reader.skip(1 if field == 1 else 4)


def hello(version: tuple[int, int, int], timezone: str, host: str) -> bytes:
    major, minor, patch = version
    return b"".join(
        [
            varint(FromServer.HELLO),
            string("ClickHouse"),
            varint(major),
            varint(minor),
            varint(REVISION),
            string(timezone),
            string(host),
            varint(patch),
        ]
    )


def data(block: bytes, codec: Method | None) -> bytes:
    """A Data packet of one block of FORMAT Native."""
    body = BLOCK_INFO + block
    parts = write_frames(body, codec) if codec else [body]
    return b"".join([varint(FromServer.DATA), string(""), *parts])


def exception(refusal: Refused) -> bytes:
    return b"".join(
        [
            varint(FromServer.EXCEPTION),
            struct.pack("<i", refusal.code),
            string("DB::Exception"),
            string(refusal.message),
            string(""),  # stack trace
            b"\0",  # no nested exception
        ]
    )


def progress(rows: int, size: int, written_rows: int = 0, written_bytes: int = 0) -> bytes:
    """Rows and bytes read since the last one; a total is not known."""
    numbers = [FromServer.PROGRESS, rows, size, 0, written_rows, written_bytes]
    return b"".join(map(varint, numbers))


def profile(rows: int, blocks: int, size: int) -> bytes:
    # The last byte says that rows before LIMIT were counted; clickhouse-client aborts on 0.
    counted = b"".join(map(varint, [FromServer.PROFILE, rows, blocks, size]))
    return counted + b"\0" + varint(0) + b"\1"
