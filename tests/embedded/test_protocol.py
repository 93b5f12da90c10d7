"""What a client may do to the port, well-meaning or not."""

import random
import socket
import struct

import pytest
from clickhouse_driver import Client
from hypothesis import given
from hypothesis import strategies as st

from embedded.store.compression import SIZES, Method, checksum, compress
from embedded.store.errors import StoreError
from embedded.store.native import header_block, walk_block
from embedded.store.packets import BLOCK_INFO, NO_BLOCK, FromClient, read_query
from embedded.store.wire import Reader, string, varint
from tests.embedded.conftest import Connect
from tests.embedded.daemon import StoreProcess
from tests.embedded.raw import RawClient
from tests.waiting import eventually

NUMBERS = 300_000  # 2.4 MB: three frames of 1 MiB
COLUMN = string("n") + string("UInt64")
BIG_BLOCK = varint(1) + varint(NUMBERS) + COLUMN + struct.pack(f"<{NUMBERS}Q", *range(NUMBERS))
SUM = NUMBERS * (NUMBERS - 1) // 2


def numbers_in(raw: RawClient, codec: Method | None) -> tuple[int, ...]:
    """Count and sum of the table `n`."""
    raw.query("SELECT count(), sum(n) FROM n", codec=codec)
    code, blocks = raw.answer(codec=codec)
    assert code == 0
    # A header, the row, the end: the two values stand behind the columns' names and types.
    row = blocks[1]
    return struct.unpack("<Q", row[row.index(b"UInt64") + 6 :][:8])[0], struct.unpack(
        "<Q", row[-8:]
    )[0]


def answers(store: StoreProcess) -> bool:
    client = Client("127.0.0.1", port=store.port)
    try:
        return bool(client.execute("SELECT 1") == [(1,)])
    finally:
        client.disconnect()


@pytest.mark.parametrize("codec", [None, Method.LZ4, Method.ZSTD, Method.PLAIN])
def test_a_block_of_several_frames_is_stored(store: StoreProcess, codec: Method | None) -> None:
    answered = Method.LZ4 if codec is Method.PLAIN else codec
    with RawClient(store.port) as raw:
        raw.query("CREATE TEMPORARY TABLE n (n UInt64)", codec=answered)
        assert raw.answer(codec=answered)[0] == 0
        raw.query("INSERT INTO n VALUES", codec=answered)
        assert raw.header(answered) == header_block([("n", "UInt64")])
        raw.block(BIG_BLOCK, codec=codec)
        raw.block(BIG_BLOCK, codec=codec, info=b"\x01\x01\x02\x05\x00\x00\x00\x00")
        raw.block(NO_BLOCK, codec=codec)
        assert raw.answer(codec=answered)[0] == 0
        assert numbers_in(raw, answered) == (2 * NUMBERS, 2 * SUM)


def test_a_frame_of_other_block_facts_is_read(store: StoreProcess) -> None:
    with RawClient(store.port) as raw:
        raw.query("CREATE TEMPORARY TABLE n (n UInt64)", codec=Method.LZ4)
        assert raw.answer(codec=Method.LZ4)[0] == 0
        raw.query("INSERT INTO n VALUES", codec=Method.LZ4)
        raw.header(Method.LZ4)
        one = varint(1) + varint(1) + COLUMN + struct.pack("<Q", 7)
        raw.block(one, codec=Method.LZ4, info=b"\x00")
        raw.block(NO_BLOCK, codec=Method.LZ4, info=b"\x02\x01\x00\x00\x00\x00")
        assert raw.answer(codec=Method.LZ4)[0] == 0
        assert numbers_in(raw, Method.LZ4) == (1, 7)


def frame(method: int, packed: bytes, size: int, packed_size: int | None = None) -> bytes:
    body = SIZES.pack(method, packed_size or len(packed) + SIZES.size, size) + packed
    return checksum(body) + body


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(0x82, b"x" * 100, 65 << 20), 128),
        (frame(0x82, b"x" * 100, 100, packed_size=1 << 31), 128),
        (frame(0x82, b"x" * 100, 1 << 20), 40),
        (frame(0x90, compress(b"x" * (200 << 20), Method.ZSTD), 100), 128),
        (frame(0x90, b"no zstd", 100), 40),
        (frame(0x33, b"x" * 100, 100), 89),
        (b"\0" * 16 + frame(0x82, b"x" * 100, 100)[16:], 40),
    ],
    ids=["large", "larger", "lz4", "bomb", "zstd", "method", "checksum"],
)
def test_a_frame_that_cannot_be_read_is_told(store: StoreProcess, sent: bytes, code: int) -> None:
    with RawClient(store.port) as raw:
        raw.query("INSERT INTO FUNCTION null('n UInt64') VALUES", codec=Method.LZ4)
        raw.header(Method.LZ4)
        raw.send(varint(FromClient.DATA), string(""), sent, b"and so on" * 100_000)
        assert raw.answer(codec=Method.LZ4)[0] == code


@pytest.mark.parametrize(
    ("native", "code"),
    [
        (varint(1) + varint(1) + string("n") + string("Dynamic"), 48),
        (varint(1) + varint(1) + string("n") + string("Array(" * 500 + "UInt8" + ")" * 500), 48),
        (varint(1) + varint(1 << 60) + string("n") + string("UInt64"), 128),
        (varint(1) + varint(1) + string("n") + string("String") + varint(1 << 62), 128),
        (varint(1) + varint(1) + b"\xff" * 11, 128),
    ],
    ids=["type", "depth", "rows", "string", "number"],
)
def test_a_block_that_cannot_be_walked_is_told(
    store: StoreProcess, native: bytes, code: int
) -> None:
    with RawClient(store.port) as raw:
        raw.query("INSERT INTO FUNCTION null('n UInt64') VALUES")
        raw.header()
        raw.block(native + b"rest" * 1000)
        assert raw.answer()[0] == code


def test_an_insert_beyond_the_limit_is_told_and_the_connection_stays_usable(
    store: StoreProcess,
) -> None:
    zeros = varint(1) + varint(7 << 20) + COLUMN + bytes(56 << 20)
    with RawClient(store.port) as raw:
        raw.query("CREATE TEMPORARY TABLE n (n UInt64)", codec=Method.ZSTD)
        assert raw.answer(codec=Method.ZSTD)[0] == 0
        raw.query("INSERT INTO n VALUES", codec=Method.ZSTD)
        raw.header(Method.ZSTD)
        for _ in range(10):
            raw.block(zeros, codec=Method.ZSTD)
        raw.block(NO_BLOCK, codec=Method.ZSTD)
        assert raw.answer(codec=Method.ZSTD)[0] == 128
        assert numbers_in(raw, Method.ZSTD) == (0, 0)


def test_garbage_hurts_nobody_else(store: StoreProcess, connect: Connect) -> None:
    witness = connect(store)
    witness.execute("CREATE TEMPORARY TABLE here (a UInt8)")
    dice = random.Random(7)
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", store.port), timeout=30) as peer:
            hello = bytes([FromClient.HELLO]) if dice.random() < 0.5 else b""
            peer.sendall(hello + dice.randbytes(dice.randrange(2000)))
    for _ in range(200):
        with RawClient(store.port) as raw:
            raw.send(bytes([dice.randrange(6)]), dice.randbytes(dice.randrange(2000)))
    assert store.process.poll() is None
    assert witness.execute("SELECT count() FROM here") == [(0,)]
    assert answers(store)
    assert "a conversation failed" not in store.log()


def test_a_client_that_leaves_in_its_rows_stores_none(store: StoreProcess, client: Client) -> None:
    client.execute("CREATE TABLE n (n UInt64) ENGINE = MergeTree ORDER BY n")
    database = client.execute("SELECT currentDatabase()")[0][0]
    for cut in (1, 100, len(BIG_BLOCK) - 1, len(BIG_BLOCK)):
        with RawClient(store.port) as raw:
            raw.query(f"INSERT INTO {database}.n VALUES")
            raw.header()
            raw.send(varint(FromClient.DATA), string(""), BLOCK_INFO, BIG_BLOCK[:cut])
    assert client.execute("SELECT count() FROM n") == [(0,)]


def test_an_older_client_is_refused(store: StoreProcess) -> None:
    with socket.create_connection(("127.0.0.1", store.port), timeout=30) as peer:
        facts = [string("old"), varint(1), varint(1), varint(54_400)]
        peer.sendall(b"".join([varint(0), *facts, string(""), string(""), string("")]))
        assert b"at least 54453 is needed" in peer.recv(4096)


@pytest.mark.parametrize(
    ("interface", "facts"),
    [(1, [string("")] * 3 + [varint(1)] * 3), (2, [b"\1", *[string("")] * 3]), (6, [])],
    ids=["tcp", "http", "local"],
)
def test_a_server_asks_for_clients_of_every_kind(interface: int, facts: list[bytes]) -> None:
    """As a Distributed table does for whoever asks it: the client's facts are as it came."""
    head = [string("id"), b"\2", string(""), string(""), string("[::]:0"), bytes(8)]
    tail = [
        string(""),
        varint(0),
        *([varint(1)] if interface == 1 else []),
        b"\0",
        *[varint(0)] * 3,
    ]
    query = [string("key"), varint(1), string("1"), string(""), string(""), varint(2), varint(0)]
    sent = b"".join([*head, bytes([interface]), *facts, *tail, *query, string("SELECT 1")])
    read = read_query(Reader(None, len(sent), sent))
    assert read.sql == "SELECT 1"
    assert read.settings["key"].value == "1"


def test_a_browser_is_told_what_the_port_is(store: StoreProcess) -> None:
    with socket.create_connection(("127.0.0.1", store.port), timeout=30) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert peer.recv(4096).startswith(b"HTTP/1.0 400")


def test_a_broken_stream_closes_its_connection_alone(store: StoreProcess, connect: Connect) -> None:
    witness = connect(store)
    witness.execute("SELECT 1")
    with RawClient(store.port) as raw:
        raw.send(varint(77))
        assert raw.answer()[0] == 101
        raw.socket.shutdown(socket.SHUT_WR)
        eventually(lambda: raw.socket.recv(1) == b"")
    assert witness.execute("SELECT 1") == [(1,)]


@given(st.binary(max_size=300))
def test_walking_any_bytes_ends_in_one_of_our_errors(data: bytes) -> None:
    reader = Reader(None, 1 << 16, data)
    try:
        walk_block(reader)
    except StoreError:
        return
    assert reader.position <= len(data)


@given(
    st.sampled_from(
        [
            "String",
            "Array(String)",
            "LowCardinality(String)",
            "Map(String, UInt8)",
            "Nullable(Date)",
        ]
    ),
    st.integers(1, 300),
    st.binary(max_size=400),
)
def test_walking_any_values_of_a_type_ends_in_one_of_our_errors(
    type_: str, rows: int, data: bytes
) -> None:
    head = varint(1) + varint(rows) + string("c") + string(type_)
    reader = Reader(None, 1 << 16, head + data)
    try:
        assert walk_block(reader).header == header_block([("c", type_)])
    except StoreError:
        return
