"""Rules as people write them: values that check themselves, to and from JSON."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from policy.errors import InvalidRule
from policy.expression import compile_dimension, compile_match
from policy.quota import ALGORITHMS, Quota

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)  # a DNS label
MAX_TEXT = 1024
MAX_DIMENSIONS = 16
ALGORITHM_NAMES = tuple(ALGORITHMS)
PRIORITIES = range(-1_000_000, 1_000_001)


class OnBackendError(StrEnum):
    """What a quota answers while its counters do not."""

    OPEN = "open"  # allow
    CLOSED = "closed"  # deny
    LOCAL = "local"  # count in this process


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What all kinds have. Refuses itself with InvalidRule, naming the place."""

    name: str
    match: str = ""
    description: str = ""
    enabled: bool = True
    priority: int = 0  # lower is asked first, then by name
    version: int = 0  # 0: not stored yet

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InvalidRule("/name", "expected a DNS label: a-z, 0-9 and -, at most 63")
        if len(self.description) > MAX_TEXT:
            raise InvalidRule("/description", f"longer than {MAX_TEXT} characters")
        if self.priority not in PRIORITIES:
            raise InvalidRule("/priority", "expected -1000000 to 1000000")
        try:
            compile_match(self.match)
        except InvalidRule as error:
            raise error.within("/match") from error


@dataclass(frozen=True, kw_only=True)
class DenyRule(Rule):
    http_status: int = 403
    message: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 400 <= self.http_status <= 599:
            raise InvalidRule("/http_status", f"{self.http_status}, expected 400 to 599")
        if len(self.message) > MAX_TEXT:
            raise InvalidRule("/message", f"longer than {MAX_TEXT} characters")
        if not self.message.isprintable():
            raise InvalidRule("/message", "holds a character that cannot be printed")


@dataclass(frozen=True, kw_only=True)
class QuotaRule(Rule):
    limit: int
    window_us: int
    algorithm: str = "token-bucket"
    burst: int | None = None  # None: the limit
    tick_us: int | None = None  # None: as finely as is usual
    dimensions: tuple[str, ...] = ()
    on_backend_error: OnBackendError = OnBackendError.LOCAL
    quota: Quota = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.algorithm not in ALGORITHMS:
            raise InvalidRule(
                "/algorithm", f"no algorithm {self.algorithm!r}; there are {', '.join(ALGORITHMS)}"
            )
        burst = self.limit if self.burst is None else self.burst
        quota = Quota(self.algorithm, self.limit, self.window_us, burst, self.tick_us or 0)
        ALGORITHMS[self.algorithm].check(quota)
        object.__setattr__(self, "quota", quota)
        if len(self.dimensions) > MAX_DIMENSIONS:
            raise InvalidRule("/dimensions", f"more than {MAX_DIMENSIONS}")
        for index, dimension in enumerate(self.dimensions):
            try:
                compile_dimension(dimension)
            except InvalidRule as error:
                raise error.within(f"/dimensions/{index}") from error


AnyRule = DenyRule | QuotaRule
KINDS: Mapping[str, type[AnyRule]] = {"deny": DenyRule, "quota": QuotaRule}
COMMON = ("name", "match", "description", "enabled", "priority")
PARAMS = {
    "deny": ("http_status", "message"),
    "quota": ("limit", "window", "algorithm", "burst", "tick", "dimensions", "on_backend_error"),
}
SECONDS = ("window", "tick")  # in JSON; in a rule microseconds
SHAPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "name": (str, "a string"),
    "match": (str, "a string"),
    "description": (str, "a string"),
    "enabled": (bool, "true or false"),
    "priority": (int, "a whole number"),
    "http_status": (int, "a whole number"),
    "message": (str, "a string"),
    "limit": (int, "a whole number"),
    "window": ((int, float), "seconds"),
    "algorithm": (str, "a string"),
    "burst": ((int, type(None)), "a whole number or null"),
    "tick": ((int, float, type(None)), "seconds or null"),
    "dimensions": ((list, tuple), "a list of expressions"),
    "on_backend_error": (str, "open, closed or local"),
}


def kind_of(rule: AnyRule) -> str:
    return "deny" if isinstance(rule, DenyRule) else "quota"


def rule_from_json(document: Mapping[str, Any]) -> AnyRule:
    """`window` is in seconds here. Raises InvalidRule, also for a key that is not known."""
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidRule("/kind", f"expected one of {', '.join(KINDS)}")
    known = (*COMMON, *PARAMS[kind])
    values: dict[str, Any] = {}
    for key, value in document.items():
        if key in ("kind", "version"):
            continue
        if key not in known:
            raise InvalidRule(f"/{key}", f"a {kind} rule has {', '.join(known)}")
        expected, words = SHAPES[key]
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise InvalidRule(f"/{key}", f"expected {words}")
        values[key] = value
    for required in ("name", "limit", "window") if kind == "quota" else ("name",):
        if required not in values:
            raise InvalidRule(f"/{required}", "is required")
    if kind == "quota":
        values["window_us"] = microseconds(values.pop("window"), "/window")
        tick = values.pop("tick", None)
        values["tick_us"] = None if tick is None else microseconds(tick, "/tick")
        values["dimensions"] = expressions(values.get("dimensions", ()))
        policy = values.get("on_backend_error", OnBackendError.LOCAL)
        if policy not in list(OnBackendError):
            raise InvalidRule("/on_backend_error", "expected open, closed or local")
        values["on_backend_error"] = OnBackendError(policy)
    return KINDS[kind](**values, version=int(document.get("version", 0)))


def microseconds(seconds: float, place: str) -> int:
    if not 0.000_001 <= seconds <= 366 * 86_400:  # also refuses nan
        raise InvalidRule(place, "expected 0.000001 to 31622400 seconds (366 days)")
    return round(seconds * 1_000_000)


def expressions(values: list[Any]) -> tuple[str, ...]:
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise InvalidRule(f"/dimensions/{index}", "expected an expression, a string")
    return tuple(values)


def rule_to_json(rule: AnyRule) -> dict[str, Any]:
    """What `rule_from_json` reads, every key present."""
    kind = kind_of(rule)
    document: dict[str, Any] = {"kind": kind}
    for key in (*COMMON, *PARAMS[kind]):
        value = getattr(rule, f"{key}_us" if key in SECONDS else key)
        if key in SECONDS and value is not None:
            value /= 1_000_000
        document[key] = list(value) if isinstance(value, tuple) else value
    return {**document, "version": rule.version}


def numbered(rule: AnyRule, version: int) -> AnyRule:
    return replace(rule, version=version)
