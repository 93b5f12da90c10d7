"""What is kept of some requests, to tell later why a rule matched none: what rules read of them,
and the names of all that was there.

What looks like a credential is never kept, by its name or by its value, nor is what is long.
"""

import re
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

from policy.attributes import Value
from policy.expression import Reference, found_in
from policy.snapshot import Snapshot

MAX_REFERENCES = 256  # of all rules together: those that most rules read
MAX_VALUE = 256  # characters
MAX_VALUES = 4096  # characters of all values of one request
MAX_NAMES = 64  # of the entries of a map
MAX_NAME = 64  # characters of one
SECRETS = (
    "authorization|cookie|token|secret|passw|credential|session|signature|api[-_.]?key|jwt"
    "|raw_claims"
)
SECRET_NAME = re.compile(SECRETS, re.IGNORECASE)
SECRET_VALUE = re.compile(
    rf"^\s*(?:bearer|basic|digest|negotiate)\s|^eyJ|[?&][^=&]*(?:{SECRETS})[^=&]*=", re.IGNORECASE
)
DESTINATION = "destination.service"


class Sampled(NamedTuple):
    """`values` is a bag of what rules read, as far as it is kept; `known` are the references that
    can be asked of it, for they are kept, or were not there. `names` of all attributes there were;
    of maps, those of their entries."""

    values: Mapping[str, Value]
    known: frozenset[Reference]
    names: Mapping[str, tuple[str, ...] | None]

    @property
    def destination(self) -> str:
        found = self.values.get(DESTINATION)
        return found if isinstance(found, str) else ""

    def has(self, reference: Reference) -> bool:
        """Of one that is known."""
        return found_in(self.values, reference) is not None


def references_of(snapshot: Snapshot) -> frozenset[Reference]:
    """What its rules read, and the destination."""
    counted = Counter(read for compiled in snapshot.rules.values() for read in compiled.reads)
    most = (reference for reference, _ in counted.most_common(MAX_REFERENCES))
    return frozenset(((DESTINATION, None), *most))


def sample_of(values: Mapping[str, Value], wanted: frozenset[Reference]) -> Sampled:
    kept: dict[str, Any] = {}
    left_out: set[Reference] = set()
    room = MAX_VALUES
    for reference in wanted:
        name, key = reference
        value: Any = values.get(name)
        if key is not None:
            if not isinstance(value, Mapping):
                continue
            kept.setdefault(name, {})
            value = value.get(key)
        if value is None:
            continue
        size = len(value) if isinstance(value, str | bytes) else 8
        if isinstance(value, Mapping) or size > min(MAX_VALUE, room) or secret(reference, value):
            left_out.add(reference)
            continue
        room -= size
        if key is None:
            kept[name] = value
        else:
            kept[name][key] = value
    return Sampled(
        kept,
        wanted - left_out if left_out else wanted,
        {name: entry_names(values[name]) for name in values},
    )


def entry_names(value: Value) -> tuple[str, ...] | None:
    if not isinstance(value, Mapping):
        return None
    return tuple(name for name in islice(value, MAX_NAMES) if len(name) <= MAX_NAME)


def secret(reference: Reference, value: Value) -> bool:
    name, key = reference
    if SECRET_NAME.search(key or name):
        return True
    return isinstance(value, str) and SECRET_VALUE.search(value) is not None
