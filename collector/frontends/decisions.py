"""What every check front-end tells of a decision, and how it reads who asks.

`x-meshmeter-rule` goes with denials only: the access log counts a response that has it as denied.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache

from policy.attributes import VOCABULARY, Value, ValueType, typed_value
from policy.results import Decision

RULE, DECISION, RETRY_AFTER = "x-meshmeter-rule", "x-meshmeter-decision", "retry-after"
LEASE = "x-meshmeter-lease"
LEASES = ","  # between those of several descriptors
NODE, DESTINATION = "x-mesh-node", "x-mesh-destination"
DOWNSTREAM_CLUSTER = "x-envoy-downstream-service-cluster"
US = 1_000_000

# The ordinal of a stateful set's pod, or the two hashes of a deployment's.
POD_SUFFIX = re.compile(r"^([^.]+?)(?:-\d+|-[bcdf-hj-np-tv-xz2-9]{8,10}-[a-z0-9]{5})(?=\.|$)")


def decision_headers(decision: Decision) -> dict[str, str]:
    """For an allow only the decision's id, and the lease to be released when there is one."""
    if decision.allowed:
        return {DECISION: decision.id} | ({LEASE: decision.lease} if decision.lease else {})
    headers = {RULE: decision.rule_id, DECISION: decision.id}
    if decision.retry_after_us >= 0:
        headers[RETRY_AFTER] = str(max(1, -(-decision.retry_after_us // US)))
    return headers


def denial_body(decision: Decision) -> str:
    """One line of JSON for the one who was refused."""
    told = {
        "denied": True,
        "rule": decision.rule,
        "version": decision.rule_version,
        "decision": decision.id,
        "reason": decision.reason,
    }
    return json.dumps(told) + "\n"


@lru_cache(maxsize=4096)
def service_of(node: str) -> str:
    """The service a sidecar stands before: "b-1.default" is one of "b.default"."""
    return POD_SUFFIX.sub(r"\1", node)


@lru_cache(maxsize=4096)
def namespace_of(service: str, principal: str = "") -> str:
    """Of a SPIFFE identity, `spiffe://domain/ns/NAMESPACE/...`, else of `name.namespace`."""
    by_identity = principal.partition("/ns/")[2].partition("/")[0]
    return by_identity or service.partition(".")[2].partition(".")[0]


def destination_service(headers: Mapping[str, str]) -> str:
    """By x-mesh-destination, else by x-mesh-node; "" when neither is there."""
    return headers.get(DESTINATION) or service_of(headers.get(NODE, ""))


def attribute_from_text(name: str, text: str) -> Value | None:
    """A configured string as the attribute of that name; None when it is not one."""
    kind = VOCABULARY.get(name)
    if kind is None:
        return None
    if kind is ValueType.STRING:
        return text
    try:
        plain = kind in (ValueType.INT64, ValueType.DOUBLE, ValueType.BOOL)
        return typed_value(kind, json.loads(text) if plain else text)
    except (ValueError, OverflowError):
        return None
