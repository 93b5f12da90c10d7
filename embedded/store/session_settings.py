"""Settings that come with a query, and hold for it alone."""

import re
from collections.abc import Mapping

from embedded.store.engine import Session, quoted
from embedded.store.errors import READONLY, UNKNOWN_SETTING, Refused
from embedded.store.packets import Setting

NAME = re.compile(r"\w+")
# The store's own: `log_comment` is what a statement is killed by. Those of Native's encoding would
# make blocks that the protocol's revision does not have.
OWN = re.compile(r"log_comment|(?:input|output)_format_native_\w+")


class QuerySettings:
    """What a session has set, so that each query pays for differences only."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._applied: dict[str, str] = {}

    def apply(self, wanted: Mapping[str, Setting]) -> None:
        """Raises Refused. Unknown names are ignored unless important, as on a server."""
        for name in [name for name in self._applied if name not in wanted]:
            try:
                self._session.query(f"SET {name} = DEFAULT", "Null")
            except Refused as refusal:
                if refusal.code != READONLY:
                    raise
                self._session.renew()  # `readonly` forbids its own end
                self._applied.clear()
                break
            del self._applied[name]
        for name, setting in wanted.items():
            if self._applied.get(name) == setting.value or OWN.fullmatch(name):
                continue
            try:
                self._set(name, setting.value)
            except Refused as refusal:
                if setting.important or refusal.code != UNKNOWN_SETTING:
                    raise

    def _set(self, name: str, value: str) -> None:
        if not NAME.fullmatch(name):
            raise Refused(UNKNOWN_SETTING, f"Unknown setting {quoted(name)}")
        self._session.query(f"SET {name} = {quoted(value)}", "Null")
        self._applied[name] = value
