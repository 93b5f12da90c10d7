"""Ctrl-C and SIGTERM as a wish to stop cleanly."""

import signal
import threading


def stop_on_signals(stop: threading.Event) -> threading.Event:
    """Ctrl-C and SIGTERM set `stop` and the event returned, which nothing else sets."""
    asked = threading.Event()

    def ask(*_: object) -> None:
        asked.set()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    return asked
