"""What envoyproxy/ratelimit does, as its config_impl.go, cache_key.go and base_limiter.go have it.

A second, plain telling, for comparing with: nothing of it is used by the importer.
"""

from dataclasses import dataclass, field
from typing import Any

import yaml

DIVIDERS_S = {
    "second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 2592000,
    "year": 31536000,
}  # fmt: skip
Entries = list[tuple[str, str]]


@dataclass
class Node:
    limit: dict[str, Any] | None = None
    shadow: bool = False
    shared: bool = False
    below: dict[str, "Node"] = field(default_factory=dict)
    wildcards: list[str] = field(default_factory=list)


def load(node: Node, descriptors: list[dict[str, Any]]) -> None:
    for descriptor in descriptors:
        text = descriptor["key"]
        if descriptor.get("value"):
            text += "_" + descriptor["value"]
        if "*" in text:
            node.wildcards.append(text)
        made = Node(
            descriptor.get("rate_limit"),
            descriptor.get("shadow_mode", False),
            descriptor.get("share_threshold", False),
        )
        load(made, descriptor.get("descriptors", []))
        assert text not in node.below
        node.below[text] = made


def wildcard_match(pattern: str, text: str) -> bool:
    """By trying every length for each star."""
    head, star, rest = pattern.partition("*")
    if not star:
        return text == head
    return text.startswith(head) and any(
        wildcard_match(rest, text[start:]) for start in range(len(head), len(text) + 1)
    )


class RateLimit:
    """A server with one configuration; `now_s` is its clock."""

    def __init__(self, config: str) -> None:
        self.now_s = 0
        self.counts: dict[tuple[Any, ...], int] = {}
        self.domains: dict[str, Node] = {}
        for document in yaml.safe_load_all(config):
            root = self.domains.setdefault(document["domain"], Node())
            load(root, document["descriptors"])

    def limit_of(self, domain: str, entries: Entries) -> tuple[Node, Entries] | None:
        """The descriptor whose limit is in force, and by which entries it counts."""
        at = self.domains.get(domain)
        counted: Entries = []
        for key, value in entries:
            if at is None:
                return None
            text = f"{key}_{value}"
            found = at.below.get(text)
            counted_value = value
            if found is None:
                wild = next((one for one in at.wildcards if wildcard_match(one, text)), None)
                if wild is not None:
                    found = at.below[wild]
                    if found.shared:
                        counted_value = wild.removeprefix(f"{key}_")
            at = found or at.below.get(key)
            counted.append((key, counted_value))
        return (at, counted) if at and at.limit and entries else None

    def over_limit(self, domain: str, entries: Entries) -> tuple[bool, bool]:
        """Whether the request is refused, and whether it would be without shadow mode."""
        found = self.limit_of(domain, entries)
        if found is None or found[0].limit is None or found[0].limit.get("unlimited"):
            return False, False
        node, counted = found
        divider = DIVIDERS_S[found[0].limit["unit"].lower()]
        key = (domain, *counted, self.now_s // divider)
        self.counts[key] = self.counts.get(key, 0) + 1
        over = self.counts[key] > found[0].limit["requests_per_unit"]
        return over and not node.shadow, over
