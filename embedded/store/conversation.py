"""One client from hello to goodbye, in a thread of its own."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from embedded.store import packets
from embedded.store.channel import GONE, IDLE_S, Channel
from embedded.store.engine import Engine, Session
from embedded.store.errors import (
    NOT_IMPLEMENTED,
    UNEXPECTED_PACKET,
    UNKNOWN_EXCEPTION,
    Broken,
    HangUp,
    Refused,
)
from embedded.store.metrics import CANCELLED, CONNECTIONS_REFUSED, EXCEPTIONS
from embedded.store.packets import REVISION, FromClient, Query, read_hello
from embedded.store.session_settings import QuerySettings
from embedded.store.sql import parse_insert
from embedded.store.statements import run_statement

log = logging.getLogger(__name__)

KILL_AGAIN_S = 0.5  # a kill may come before the engine has begun
HTTP_VERBS = (b"GET ", b"POST")
HTTP_ANSWER = b"HTTP/1.0 400 Bad Request\r\n\r\nThis port speaks ClickHouse's native protocol.\n"


class Conversation:
    """`run` is the client's thread; `watch` and `finish` are called from others."""

    def __init__(self, client: socket.socket, engine: Engine, mark: str) -> None:
        self._channel = Channel(client)
        self._engine = engine
        self._mark = mark
        self._lock = threading.Lock()
        self._busy = False  # from a query's first byte to its answer's last
        self._running = False  # in the engine
        self._finishing = False
        self._cancelled = False  # by the client, who waits for the end of the answer
        self._killed_at = 0.0

    def run(self) -> None:
        try:
            self._speak()
        except HangUp as reason:
            log.debug("a client has gone", extra={"client": self._mark, "reason": str(reason)})
        except Broken as refusal:
            self._part(refusal)
        except Exception as error:
            log.exception("a conversation failed", extra={"client": self._mark})
            self._part(Broken(UNKNOWN_EXCEPTION, f"{type(error).__name__} in the embedded store"))
        finally:
            self._channel.close()

    def _speak(self) -> None:
        channel = self._channel
        database = self._greet()
        session = self._engine.session(self._mark)
        try:
            try:
                session.use(database)
            except Refused as refusal:
                channel.send(packets.exception(refusal))
                return
            channel.send(
                packets.hello(self._engine.version, self._engine.timezone, socket.gethostname())
            )
            self._serve(session, QuerySettings(session))
        finally:
            session.close()

    def _greet(self) -> str:
        """The database asked for. Raises HangUp when the peer speaks something else."""
        reader = self._channel.reader
        reader.need(4)
        if bytes(reader.buffer[:4]) in HTTP_VERBS:
            CONNECTIONS_REFUSED.inc()
            self._channel.send(HTTP_ANSWER)
            raise HangUp("the peer speaks HTTP")
        if reader.varint() != FromClient.HELLO:
            CONNECTIONS_REFUSED.inc()
            raise HangUp("the peer does not begin with a hello")
        hello = read_hello(reader)
        if hello.revision < REVISION:
            CONNECTIONS_REFUSED.inc()
            raise Broken(
                NOT_IMPLEMENTED,
                f"the client speaks revision {hello.revision}; at least {REVISION} is needed",
            )
        return hello.database or "default"

    def _serve(self, session: Session, settings: QuerySettings) -> None:
        channel = self._channel
        compressed = False
        while not self._finishing:
            kind = channel.next_packet(IDLE_S)
            if kind == FromClient.PING:
                channel.send(packets.PONG)
            elif kind == FromClient.CANCEL:
                continue  # the statement had ended already
            elif kind == FromClient.DATA:
                channel.read_block(compressed=compressed)  # what a refused insert still sent
            elif kind == FromClient.QUERY:
                with self._statement():
                    query = channel.read_query()
                    compressed = query.codec is not None
                    self._answer(session, settings, query)
            else:
                raise Broken(UNEXPECTED_PACKET, f"packet {kind} is not understood")

    @contextmanager
    def _statement(self) -> Iterator[None]:
        with self._lock:
            if self._finishing:
                raise HangUp("the store is stopping")
            self._busy = True
            self._cancelled = False
        try:
            yield
        finally:
            with self._lock:
                self._busy = False

    def _answer(self, session: Session, settings: QuerySettings, query: Query) -> None:
        channel = self._channel
        try:
            self._no_temporary_tables(compressed=query.codec is not None)
            settings.apply(query.settings)
            run_statement(channel, session, query, self._in_engine)
        except Broken:
            EXCEPTIONS.inc()
            raise
        except Refused as refusal:
            if self._cancelled and parse_insert(query.sql) is None:
                channel.send(packets.END_OF_STREAM)  # as a server does, without a word
                return
            EXCEPTIONS.inc()
            log.debug("a statement failed", extra={"client": self._mark, "code": refusal.code})
            channel.send(packets.exception(refusal))

    def _no_temporary_tables(self, *, compressed: bool) -> None:
        """Reads the blocks after a query, of which only the empty one is taken."""
        found = False
        while True:
            kind = self._channel.next_packet()
            if kind == FromClient.CANCEL:
                continue
            if kind != FromClient.DATA:
                raise Broken(UNEXPECTED_PACKET, f"packet {kind} after a query")
            if not self._channel.read_block(compressed=compressed).columns:
                break
            found = True
        if found:
            raise Refused(NOT_IMPLEMENTED, "the embedded store takes no external tables")

    @contextmanager
    def _in_engine(self) -> Iterator[None]:
        with self._lock:
            self._running = True
            self._killed_at = 0.0
        try:
            yield
        finally:
            with self._lock:
                self._running = False

    def _part(self, refusal: Refused) -> None:
        """Says why, and closes once the peer has had the time to hear it."""
        try:
            self._channel.send(packets.exception(refusal))
            self._channel.linger()
        except HangUp as reason:
            log.debug("a client has gone", extra={"client": self._mark, "reason": str(reason)})

    def watch(self) -> None:
        """Ends a running statement whose client has cancelled it or gone."""
        with self._lock:
            if not self._running or time.monotonic() - self._killed_at < KILL_AGAIN_S:
                return
            seen = self._channel.next_byte()
            if seen not in (FromClient.CANCEL, GONE):
                return
            self._cancelled = seen == FromClient.CANCEL
            self._kill()

    def _kill(self) -> None:
        if not self._killed_at:
            CANCELLED.inc()
        self._killed_at = time.monotonic()
        self._engine.kill(self._mark)

    def finish(self) -> None:
        """No further statement; one that is being answered may end."""
        with self._lock:
            self._finishing = True
            if not self._busy:
                self._channel.stop_reading()

    def abandon(self) -> None:
        """Ends what is running, however far it is."""
        with self._lock:
            self._channel.stop_reading()
            if self._running:
                self._kill()
