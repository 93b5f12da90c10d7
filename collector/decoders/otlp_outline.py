"""The outline of an OTLP request in JSON, its items still raw; `skeleton` in the other encoding.

All of the text is checked to be well-formed JSON, nested no deeper than can be read again.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from collector.decoders.json_repair import repaired
from collector.decoders.lenient import Unreadable
from collector.decoders.limits import MAX_JSON_VALUES
from collector.errors import TooLarge

# How much deeper a worker can read than a front-end: so what the one took the other can read,
# however deep their own stacks are.
MARGIN = 100
NOTHING = Raw(b"{}")


class Outline:
    """Of one signal, whose three levels of lists have names of their own."""

    def __init__(self, name: str, resources: str, scopes: str, items: str) -> None:
        self._name = name
        self.names = resources, scopes, items
        scope = level("ScopeItems", ("scope", Raw, NOTHING), many("items", items, Raw))
        resource = level("ResourceItems", ("resource", Raw, NOTHING), many("scopes", scopes, scope))
        request: Any = level("Request", many("resources", resources, resource))
        self._decoder: Decoder[Any] = Decoder(request)
        for _ in range(MARGIN):
            request = list[request]
        self._deep: Decoder[Any] = Decoder(request)

    def read(self, body: bytes) -> Any:
        """An `inspection.Skeleton`. Raises Unreadable, which is Malformed."""
        return self._decode(self._decoder, body)

    def read_first(self, body: bytes) -> Any:
        """The same in a front-end. Raises Unreadable, and TooLarge over MAX_JSON_VALUES."""
        # A value may have two bytes and takes some fifty; a comma is between two.
        if len(body) > 2 * MAX_JSON_VALUES and body.count(b",") > MAX_JSON_VALUES:
            raise TooLarge(f"a request in JSON may hold {MAX_JSON_VALUES} values")
        found: Any
        try:
            found = self._decode(self._deep, b"[" * MARGIN + body + b"]" * MARGIN)
            for _ in range(MARGIN):
                (found,) = found
        except (Unreadable, ValueError) as error:
            self.read(body)  # says what is wrong, and where
            raise Unreadable(f"not an {self._name} in JSON: it is nested too deep") from error
        return found

    def _decode(self, decoder: Decoder[Any], body: bytes) -> Any:
        try:
            try:
                return decoder.decode(body)
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:
                return decoder.decode(repaired(body))
        except (msgspec.DecodeError, RecursionError) as error:
            raise Unreadable(f"not an {self._name} in JSON: {error}") from error


def level(name: str, *fields: tuple[str, Any, Any]) -> type[Struct]:
    return msgspec.defstruct(name, fields, gc=False)


def many(attribute: str, name: str, kind: Any) -> tuple[str, Any, Any]:
    """None until there is one: a million empty objects are 32 MB then, and 90 with their lists."""
    return (attribute, list[kind] | None, msgspec.field(default=None, name=name))
