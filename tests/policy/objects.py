"""The cast: two services, and rules between them."""

from typing import Any

from policy.rules import AnyRule, rule_from_json

FROM_A_TO_B = 'source.service == "a" && destination.service == "b"'
A_TO_B = {"source.service": "a", "destination.service": "b", "request.method": "GET"}


def quota(name: str = "calm", **fields: Any) -> AnyRule:
    """Two a second from a to b, unless said otherwise."""
    base = {"kind": "quota", "name": name, "match": FROM_A_TO_B, "limit": 2, "window": 1}
    return rule_from_json(base | fields)


def deny(name: str = "no", **fields: Any) -> AnyRule:
    return rule_from_json({"kind": "deny", "name": name, "match": FROM_A_TO_B} | fields)
