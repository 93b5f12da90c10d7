"""The attribute bag: named, typed facts about one request.

Source: Istio's attribute vocabulary, releases 1.0 to 1.7; `ratelimit.*` and `derived` are our own.
"""

import ipaddress
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from policy.errors import InvalidAttribute

Value = str | int | float | bool | bytes | datetime | timedelta | Mapping[str, str]


class ValueType(StrEnum):
    STRING = "STRING"
    INT64 = "INT64"
    DOUBLE = "DOUBLE"
    BOOL = "BOOL"
    TIMESTAMP = "TIMESTAMP"
    DURATION = "DURATION"
    IP_ADDRESS = "IP_ADDRESS"  # 4 or 16 bytes
    STRING_MAP = "STRING_MAP"
    DNS_NAME = "DNS_NAME"  # this and the next two are text with an equality of their own
    EMAIL_ADDRESS = "EMAIL_ADDRESS"
    URI = "URI"


_NAMES: dict[ValueType, str] = {
    ValueType.STRING: """
        api.operation api.protocol api.service api.version check.error_message connection.event
        connection.id connection.requested_server_name context.protocol context.proxy_error_code
        context.reporter.kind context.reporter.uid destination.container.name destination.name
        destination.namespace destination.owner destination.principal destination.service
        destination.service.host destination.service.name destination.service.namespace
        destination.service.uid destination.serviceAccount destination.uid
        destination.workload.name destination.workload.namespace destination.workload.uid
        origin.uid origin.user ratelimit.domain ratelimit.keys rbac.permissive.effective_policy_id
        rbac.permissive.response_code request.api_key request.auth.audiences
        request.auth.presenter request.auth.principal request.auth.raw_claims request.host
        request.id request.method request.path request.reason request.referer request.scheme
        request.url_path request.useragent response.grpc_message response.grpc_status source.name
        source.namespace source.owner source.principal source.service source.serviceAccount
        source.services source.uid source.user source.workload.name source.workload.namespace
        source.workload.uid""",
    ValueType.INT64: """
        check.error_code connection.received.bytes connection.received.bytes_total
        connection.sent.bytes connection.sent.bytes_total destination.port request.size
        request.total_size response.code response.size response.total_size""",
    ValueType.BOOL: "check.cache_hit connection.mtls context.reporter.local quota.cache_hit",
    ValueType.TIMESTAMP: "context.time context.timestamp request.time response.time",
    ValueType.DURATION: "connection.duration response.duration",
    ValueType.IP_ADDRESS: "destination.ip origin.ip source.ip",
    ValueType.STRING_MAP: """
        derived destination.labels destination.metadata ratelimit.descriptor ratelimit.values
        request.auth.claims request.headers request.query_params response.headers source.labels
        source.metadata""",
}

VOCABULARY: Mapping[str, ValueType] = MappingProxyType(
    dict(sorted((name, kind) for kind, names in _NAMES.items() for name in names.split()))
)


class AttributeBag:
    """Immutable by agreement: building one keeps the mapping it is given, uncopied."""

    __slots__ = ("values",)

    def __init__(self, values: Mapping[str, Value]) -> None:
        self.values = values

    def get(self, name: str) -> Value | None:
        return self.values.get(name)

    def text(self, name: str) -> str:
        """A string attribute; "" when it is absent or no string."""
        value = self.values.get(name)
        return value if isinstance(value, str) else ""

    def names(self) -> Iterable[str]:
        return self.values.keys()

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __repr__(self) -> str:
        return f"AttributeBag({dict(self.values)!r})"


def ratelimit_keys(keys: Iterable[str]) -> str:
    """The attribute `ratelimit.keys`: a comma within a key has a backslash before it."""
    return ",".join([key if key.isidentifier() else escaped(key) for key in keys])


def escaped(key: str) -> str:
    return key.replace("\\", "\\\\").replace(",", "\\,")


def text_of(value: Value) -> str:
    """How a value is written in a quota key and a decision record."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case bytes() if len(value) in (4, 16):
            address = ipaddress.ip_address(value)
            mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
            return str(mapped or address)
        case bytes():
            return value.hex()
        case timedelta():
            return f"{value.total_seconds():g}s"
        case datetime():
            return value.isoformat()
        case _:
            return ";".join(f"{key}={item}" for key, item in sorted(value.items()))


_UNITS_US = {"ns": 1e-3, "us": 1, "µs": 1, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}
_DURATION = re.compile(
    r"[+-]?(?:0|(?:(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:ns|us|µs|ms|s|m|h))+)"
)
_PART = re.compile(r"([\d.]+)(ns|us|µs|ms|s|m|h)")


def duration(text: str) -> timedelta | None:
    """A duration as Go writes it ("1h30m", "0.5s"); None when `text` is not one.

    Source: https://pkg.go.dev/time#ParseDuration
    """
    if not _DURATION.fullmatch(text):
        return None
    parts = _PART.findall(text)
    total_us = sum(float(number) * _UNITS_US[unit] for number, unit in parts)
    try:
        return timedelta(microseconds=-total_us if text.startswith("-") else total_us)
    except OverflowError:
        return None


def typed_value(kind: ValueType, value: object) -> Value:
    """A JSON value as an attribute of this type. Raises ValueError saying what was expected."""
    match kind, value:
        case (
            ValueType.STRING | ValueType.DNS_NAME | ValueType.EMAIL_ADDRESS | ValueType.URI,
            str(),
        ):
            return value
        case ValueType.BOOL, bool():
            return value
        case ValueType.INT64, int() if not isinstance(value, bool) and -(2**63) <= value < 2**63:
            return value
        case ValueType.DOUBLE, int() | float() if not isinstance(value, bool):
            if math.isfinite(number := float(value)):
                return number
        case ValueType.STRING_MAP, dict() if all(isinstance(item, str) for item in value.values()):
            return {str(key): item for key, item in value.items()}
        case ValueType.DURATION, str() if (length := duration(value)) is not None:
            return length
        case ValueType.TIMESTAMP, str():
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        case ValueType.IP_ADDRESS, str():
            return ipaddress.ip_address(value).packed
    raise ValueError(EXPECTED[kind])


EXPECTED: Mapping[ValueType, str] = {
    ValueType.STRING: "expected a string",
    ValueType.INT64: "expected a whole number of 64 bits",
    ValueType.DOUBLE: "expected a number",
    ValueType.BOOL: "expected true or false",
    ValueType.TIMESTAMP: "expected an RFC 3339 time",
    ValueType.DURATION: 'expected a duration such as "1.5s"',
    ValueType.IP_ADDRESS: "expected an IP address",
    ValueType.STRING_MAP: "expected an object of strings",
    ValueType.DNS_NAME: "expected a DNS name, a string",
    ValueType.EMAIL_ADDRESS: "expected an e-mail address, a string",
    ValueType.URI: "expected a URI, a string",
}


def bag_from_json(document: Mapping[str, object]) -> AttributeBag:
    """Raises InvalidAttribute for an unknown name or a value of another type."""
    values: dict[str, Value] = {}
    for name, value in document.items():
        kind = VOCABULARY.get(name)
        if kind is None:
            raise InvalidAttribute(name, "there is no such attribute")
        try:
            values[name] = typed_value(kind, value)
        except (ValueError, OverflowError) as error:
            raise InvalidAttribute(name, f"{kind}: {error}") from error
    return AttributeBag(values)
