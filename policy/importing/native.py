"""meshmeter's own YAML: the documents of the API, as they are.

A text holds a rule, a list of rules, or `rules:` and `lists:`. Scalars are YAML 1.2's core schema.
"""

import math
import re
from typing import Any

from policy.importing.drafts import Draft, Drafts
from policy.importing.nodes import Scalar, Sequence, Table
from policy.importing.places import NULLS, Place, Refused

FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# A number that begins with 0 is read in two ways, so it stays a text and is refused as one.
INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,99})", re.ASCII)
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
PARTS = {"rules", "lists"}
FOREIGN = {"apiVersion", "items", "metadata", "spec"}  # of Kubernetes


def is_native(root: Place) -> bool:
    if not isinstance(root.node, Table):
        return isinstance(root.node, Sequence)
    keys = root.node.entries.keys()
    return bool(keys & PARTS) or ("kind" in keys and not keys & FOREIGN)


def native(roots: list[Place]) -> Drafts:
    made = Drafts()
    for root in roots:
        try:
            add(root, made)
        except Refused as error:
            error.place.refuse(error.reason)
    return made


def add(root: Place, made: Drafts) -> None:
    if isinstance(root.node, Sequence):
        add_all(root, made.rules)
    elif isinstance(root.node, Table) and "kind" in root.node.entries:
        made.rules.append(draft(root))
    else:
        root.refuse_others(PARTS)
        for part, drafts in (("rules", made.rules), ("lists", made.lists)):
            found = root.get(part)
            if found is not None:
                add_all(found, drafts)


def add_all(listed: Place, drafts: list[Draft]) -> None:
    for place in listed.items():
        try:
            drafts.append(draft(place))
        except Refused as error:
            error.place.refuse(error.reason)


def draft(place: Place) -> Draft:
    document = {key: plain(entry) for key, entry in place.entries().items()}
    name = document.pop("name", None)
    if not isinstance(name, str):
        raise Refused(place, "name is required, a text")
    return Draft(place, (name,), document, label=True)


def plain(place: Place) -> Any:
    """As JSON has it."""
    if isinstance(place.node, Table):
        return {key: plain(entry) for key, entry in place.entries().items()}
    if isinstance(place.node, Sequence):
        return [plain(item) for item in place.items()]
    text = place.text()
    return text if isinstance(place.node, Scalar) and place.node.quoted else resolved(text)


def resolved(text: str) -> Any:
    if text in NULLS:
        return None
    if text in FLAGS:
        return FLAGS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    if FLOAT.fullmatch(text) and not leading_zero(text) and math.isfinite(number := float(text)):
        return number
    return text


def leading_zero(text: str) -> bool:
    return re.match(r"[-+]?0[0-9]", text) is not None
