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
        try:
            self._change_to(wanted)
        except Refused as refusal:
            if refusal.code != READONLY or "readonly" not in self._applied:
                raise
            # A query's `readonly` forbids its own end, and any other setting's.
            self._session.renew()
            self._applied.clear()
            self._change_to(wanted)

    def _change_to(self, wanted: Mapping[str, Setting]) -> None:
        for name in [name for name in self._applied if name not in wanted]:
            self._session.query(f"SET {name} = DEFAULT", "Null")
            del self._applied[name]
        for name in sorted(wanted, key="readonly".__eq__):  # last, for it bars the others
            setting = wanted[name]
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
