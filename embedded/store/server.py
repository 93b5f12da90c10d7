"""The listener: a thread for each client, and one that watches them."""

import itertools
import logging
import socket
import threading
import time

from embedded.store import packets
from embedded.store.conversation import Conversation
from embedded.store.engine import Engine
from embedded.store.errors import TOO_MANY_CONNECTIONS, Refused
from embedded.store.metrics import CONNECTIONS, CONNECTIONS_REFUSED

log = logging.getLogger(__name__)

MOST_CLIENTS = 512
WATCH_EVERY_S = 0.05
ABANDON_S = 2  # for statements to end that were killed when the store stops


class Server:
    """Serves from `start` to `stop`."""

    def __init__(self, engine: Engine, listener: socket.socket) -> None:
        self._engine = engine
        self._listener = listener
        self._clients: dict[Conversation, threading.Thread] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._marks = itertools.count(1)

    def start(self) -> None:
        for work in (self._accept, self._watch):
            threading.Thread(target=work, name=work.__name__.strip("_"), daemon=True).start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _address = self._listener.accept()
            except OSError as error:
                if not self._stopped.is_set():  # out of descriptors, most likely
                    log.warning("cannot accept a client", extra={"reason": str(error)})
                    time.sleep(WATCH_EVERY_S)
                continue
            self._begin(client)

    def _begin(self, client: socket.socket) -> None:
        with self._lock:
            if len(self._clients) >= MOST_CLIENTS or self._stopped.is_set():
                CONNECTIONS_REFUSED.inc()
                refuse(client)
                return
            conversation = Conversation(client, self._engine, f"client {next(self._marks)}")
            thread = threading.Thread(target=self._converse, args=(conversation,), daemon=True)
            self._clients[conversation] = thread
        CONNECTIONS.inc()
        thread.start()

    def _converse(self, conversation: Conversation) -> None:
        try:
            conversation.run()
        finally:
            CONNECTIONS.dec()
            with self._lock:
                del self._clients[conversation]

    def _watch(self) -> None:
        while not self._stopped.wait(WATCH_EVERY_S):
            for conversation in self._conversations():
                try:
                    conversation.watch()
                except Refused as refusal:
                    log.warning("cannot end a statement", extra={"reason": refusal.message})

    def _conversations(self) -> list[Conversation]:
        with self._lock:
            return list(self._clients)

    def stop(self, grace_s: float) -> None:
        """Lets running statements end within `grace_s`, then ends them."""
        self._stopped.set()
        # A blocked accept is woken by the shutdown; closing alone leaves it blocked.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for conversation in self._conversations():
            conversation.finish()
        if not self._join(grace_s):
            log.warning("statements are ended", extra={"clients": len(self._conversations())})
            for conversation in self._conversations():
                conversation.abandon()
            self._join(ABANDON_S)

    def _join(self, timeout_s: float) -> bool:
        """Whether all clients' threads ended in time."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            threads = list(self._clients.values())
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)


def refuse(client: socket.socket) -> None:
    with client:
        client.settimeout(1)
        try:
            client.sendall(packets.exception(Refused(TOO_MANY_CONNECTIONS, "Too many connections")))
        except OSError as error:
            log.debug("a refused client has gone", extra={"reason": str(error)})
