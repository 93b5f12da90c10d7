"""Running one statement for a client, and answering it.

A failure raises Refused before the end of stream is sent; whoever called answers it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from embedded.store import packets
from embedded.store.channel import Channel
from embedded.store.compression import Method
from embedded.store.engine import Session
from embedded.store.errors import (
    QUERY_CANCELLED,
    TOO_LARGE,
    UNEXPECTED_PACKET,
    Broken,
    Refused,
)
from embedded.store.metrics import INSERTS, QUERIES, ROWS_INSERTED
from embedded.store.native import header_block, walk_block
from embedded.store.packets import NO_BLOCK, FromClient, Query
from embedded.store.sql import Insert, keyword, parse_insert, refuse_files, streams, without_format
from embedded.store.wire import Reader

LARGEST_INSERT = 512 << 20  # bytes before compression, all blocks of one statement
CANNOT_STREAM = "Streaming query is not supported"

# Marks the time in which a statement runs in the engine, and may be killed.
Running = Callable[[], AbstractContextManager[None]]


def run_statement(channel: Channel, session: Session, query: Query, running: Running) -> None:
    refuse_files(query.sql)
    insert = parse_insert(query.sql)
    if insert is not None:
        run_insert(channel, session, query, insert, running)
        INSERTS.inc()
        return
    QUERIES.inc()
    sql = without_format(query.sql)
    with running():
        if not streams(sql):
            run_command(channel, session, sql, query.codec)
            return
        try:
            run_select(channel, session, sql, query.codec)
        except Refused as refusal:
            if CANNOT_STREAM not in refusal.message:
                raise
            run_command(channel, session, sql, query.codec)  # WITH ... INSERT and the like


def run_select(channel: Channel, session: Session, sql: str, codec: Method | None) -> None:
    """Each block is sent as the engine makes it, after a header block."""
    rows = blocks = size = 0
    for chunk in session.stream(sql):
        native = bytes(chunk.bytes())
        answer = []
        if not blocks:
            answer.append(packets.data(header_of(native), codec))
        rows += chunk.rows_read()
        size += len(native)
        blocks += 1
        answer.append(packets.progress(chunk.storage_rows_read(), chunk.storage_bytes_read()))
        channel.send(*answer, packets.data(native, codec))
    if not blocks:
        channel.send(packets.data(header_block(session.describe(sql)), codec))
    channel.send(
        packets.data(NO_BLOCK, codec), packets.profile(rows, blocks, size), packets.END_OF_STREAM
    )


def header_of(native: bytes) -> bytes:
    """The first block of a result without its rows: clients take the columns' names from it."""
    try:
        return walk_block(Reader(None, len(native), native)).header
    except Broken as unknown_type:
        raise Refused(unknown_type.code, unknown_type.message) from unknown_type


def run_command(channel: Channel, session: Session, sql: str, codec: Method | None) -> None:
    """A statement that answers no rows, or a few (SHOW, DESCRIBE, EXPLAIN), all at once."""
    native = session.query(sql)
    if not native and keyword(sql) == "SHOW":
        channel.send(packets.data(header_block(session.columns(sql)), codec))
    reader = Reader(None, len(native), native)
    while reader.position < len(native):
        start = reader.position
        header = walk_block(reader).header
        if start == 0:
            channel.send(packets.data(header, codec))
        channel.send(packets.data(reader.since(start), codec))
    channel.send(packets.END_OF_STREAM)


def run_insert(
    channel: Channel, session: Session, query: Query, insert: Insert, running: Running
) -> None:
    """The rows are gathered in memory and stored by one INSERT.

    chDB's own send_insert() reports success when the write fails, INFILE does not; and a file of
    memory alone leaves nothing on disk.
    """
    with running():
        header = header_block(session.describe(insert.header))
    channel.send(packets.data(header, query.codec))
    with memory_file() as descriptor:
        rows, size = receive_rows(channel, descriptor, compressed=query.codec is not None)
        if rows:
            # The process's own number: the engine's threads see the same descriptors.
            path = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
            with running():
                session.query(
                    f"INSERT INTO {insert.into} FROM INFILE '{path}' COMPRESSION 'none' "
                    f"{insert.settings} FORMAT Native",
                    "Null",
                )
    ROWS_INSERTED.inc(rows)
    channel.send(packets.progress(0, 0, rows, size), packets.END_OF_STREAM)


@contextmanager
def memory_file() -> Iterator[int]:
    descriptor = os.memfd_create("insert")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def receive_rows(channel: Channel, descriptor: int, *, compressed: bool) -> tuple[int, int]:
    """Rows and bytes written to `descriptor`. Raises Refused when they are too many, after all."""
    rows = size = 0
    while True:
        kind = channel.next_packet()
        if kind == FromClient.CANCEL:
            raise Refused(QUERY_CANCELLED, "Query was cancelled")
        if kind != FromClient.DATA:
            raise Broken(UNEXPECTED_PACKET, f"packet {kind} while rows were expected")
        block = channel.read_block(compressed=compressed)
        if not block.columns:
            break
        rows += block.rows
        size += len(block.native)
        if size <= LARGEST_INSERT:
            write_all(descriptor, block.native)
    if size > LARGEST_INSERT:
        raise Refused(TOO_LARGE, f"an insert of {size} bytes; at most {LARGEST_INSERT} are taken")
    return rows, size


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
