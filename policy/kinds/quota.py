"""So much may pass in so much time."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, WithJsonSchema, model_validator

from policy.attributes import ValueType
from policy.documents import (
    Document,
    HttpStatus,
    Limiting,
    Listed,
    Name,
    checked_by,
    fault,
    pointer,
)
from policy.errors import InvalidRule
from policy.expression import Match, compile_dimension, compile_expression
from policy.lists import HeldLists
from policy.meter import (
    DRAFT,
    Limits,
    Meter,
    Override,
    Overrides,
    Term,
    limit_ids,
    override_prefix,
)
from policy.quota import ALGORITHMS, Quota
from policy.quota.base import UNITS_US
from policy.stages import Metered

MAX_DIMENSIONS = 16
MAX_LIMITS = 8
MAX_OVERRIDES = 100_000
MAX_WINDOW_S = 366 * 86_400
TOO_MANY = 429
FIELDS = ("limit", "window", "burst", "tick", "time_zone")


def within_a_year(value: float | None) -> None:
    if value is not None and not 0.000_001 <= value <= MAX_WINDOW_S:  # also refuses nan
        raise InvalidRule("", "expected 0.000001 to 31622400 seconds (366 days)")


def seconds_or_unit(value: Any) -> Any:
    if isinstance(value, str) and value in UNITS_US:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fault(InvalidRule("", f"expected seconds or one of {', '.join(UNITS_US)}"))
    try:
        within_a_year(value)
    except InvalidRule as error:
        raise fault(error) from error
    return value


def known_algorithm(name: str) -> None:
    if name not in ALGORITHMS:
        raise InvalidRule("", f"no algorithm {name!r}; there are {', '.join(ALGORITHMS)}")


def a_whole_number(text: str) -> None:
    if text and (found := compile_expression(text).type) is not ValueType.INT64:
        raise InvalidRule("", f"the expression is {found}, expected {ValueType.INT64}")


def micros(value: float) -> int:
    return round(value * 1_000_000)


Amount = Annotated[int, Field(description="how much may pass in a window", examples=[100])]
Seconds = Annotated[
    float,
    checked_by(within_a_year),
    Field(description="seconds, to the microsecond", examples=[1.0]),
]
Window = Annotated[
    float | str,
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": [*UNITS_US]}]}),
    BeforeValidator(seconds_or_unit),
    Field(description="seconds, to the microsecond; or a calendar's unit", examples=[1.0]),
]
TimeZone = Annotated[
    str | None,
    Field(description="calendar window: an IANA time zone; null: UTC", examples=["Europe/Berlin"]),
]
Algorithm = Annotated[
    str,
    checked_by(known_algorithm),
    Field(description="how it is counted", json_schema_extra={"enum": [*ALGORITHMS]}),
]
Burst = Annotated[
    int | None, Field(description="token bucket: how much may pass at once; null: the limit")
]
Tick = Annotated[
    Seconds | None,
    Field(description="rolling window: seconds, how finely it counts; null: 100 ticks or 0.1 s"),
]


class Limit(Document):
    """One limit."""

    limit: Amount
    window: Window
    algorithm: Algorithm = "token-bucket"
    burst: Burst = None
    tick: Tick = None
    time_zone: TimeZone = None

    @model_validator(mode="after")
    def _countable(self) -> Self:
        quota_of(self)
        return self


def quota_of(limit: Limit) -> Quota:
    """Raises a fault for what cannot be counted exactly."""
    unit = limit.window if isinstance(limit.window, str) else ""
    try:
        quota = Quota(
            limit.algorithm,
            limit.limit,
            0 if isinstance(limit.window, str) else micros(limit.window),
            limit.limit if limit.burst is None else limit.burst,
            0 if limit.tick is None else micros(limit.tick),
            unit,
            limit.time_zone or "",
        )
        ALGORITHMS[limit.algorithm].check(quota)
    except InvalidRule as error:
        raise fault(error) from error
    return quota


class Limited(Document):
    """One limit, written out, or several in `limits`, which are charged together."""

    limit: Amount | None = None
    window: Window | None = None
    algorithm: Algorithm = "token-bucket"
    burst: Burst = None
    tick: Tick = None
    time_zone: TimeZone = None
    limits: Annotated[
        tuple[Limit, ...],
        Listed,
        Field(
            max_length=MAX_LIMITS,
            description="several limits at once, in place of limit, window and what goes with them",
        ),
    ] = ()
    _quotas: tuple[Quota, ...] = PrivateAttr(default=())

    @property
    def quotas(self) -> tuple[Quota, ...]:
        return self._quotas

    @model_validator(mode="after")
    def _either_or(self) -> Self:
        self._quotas = tuple(quota_of(limit) for limit in self._limits())
        return self

    def _limits(self) -> tuple[Limit, ...]:
        if self.limits:
            for name in FIELDS:
                if getattr(self, name) is not None:
                    raise fault(InvalidRule(f"/{name}", "belongs into limits, when there are any"))
            return self.limits
        return (self._single(),)

    def _single(self) -> Limit:
        for name in ("limit", "window"):
            if getattr(self, name) is None:
                raise fault(InvalidRule(f"/{name}", "is required"))
        return Limit.model_construct(
            limit=self.limit,
            window=self.window,
            algorithm=self.algorithm,
            burst=self.burst,
            tick=self.tick,
            time_zone=self.time_zone,
        )


class OverrideDocument(Limited):
    """Other limits for some values of the dimensions."""

    name: Name
    when: Annotated[
        dict[str, str],
        Field(
            min_length=1,
            description="dimensions of the rule, as written there, to a value, or text* for how it"
            " begins",
            examples=[{"source.service": "batch.default"}],
        ),
    ]
    unlimited: Annotated[bool, Field(description="in place of a limit")] = False

    def _limits(self) -> tuple[Limit, ...]:
        if not self.unlimited:
            return super()._limits()
        for name in FIELDS:
            if getattr(self, name) is not None:
                raise fault(InvalidRule(f"/{name}", "what is unlimited has none"))
        if self.limits:
            raise fault(InvalidRule("/limits", "what is unlimited has none"))
        return ()


class QuotaRule(Limited, Limiting):
    """Lets so much pass of what it matches, for each combination of dimensions."""

    kind: Literal["quota"] = "quota"
    dimensions: Annotated[
        tuple[Annotated[str, checked_by(compile_dimension)], ...],
        Listed,
        Field(
            max_length=MAX_DIMENSIONS,
            description="expressions; each combination of their values has a counter of its own",
            examples=[["source.service", 'request.headers["x-user"] | "anonymous"']],
        ),
    ] = ()
    cost: Annotated[
        str,
        checked_by(a_whole_number),
        Field(
            description="an expression, INT64: what one hit takes; empty, absent or negative: 1",
            examples=["request.size | 1"],
        ),
    ] = ""
    overrides: Annotated[
        tuple[OverrideDocument, ...],
        Listed,
        Field(
            max_length=MAX_OVERRIDES,
            description="the most specific one that fits takes the place of the limits above",
        ),
    ] = ()
    draft: Annotated[
        Limited | None,
        Field(description="limits to try beside those in force; they are counted, never refuse"),
    ] = None
    leased: Annotated[
        bool,
        Field(
            description="collectors may take up to a hundredth of a limit in advance, and answer"
            " from that"
        ),
    ] = False
    http_status: HttpStatus = TOO_MANY

    @model_validator(mode="after")
    def _overrides_fit(self) -> Self:
        names: set[str] = set()
        for index, override in enumerate(self.overrides):
            place = f"/overrides/{index}"
            if override.name in names:
                raise fault(InvalidRule(f"{place}/name", "there is another override of this name"))
            names.add(override.name)
            for dimension in override.when:
                if dimension not in self.dimensions:
                    where = f"{place}/when{pointer([dimension])}"
                    raise fault(InvalidRule(where, "is none of the rule's dimensions"))
        return self

    def compile(self, match: Match, _lists: HeldLists) -> Metered:
        dimensions = tuple(compile_dimension(text) for text in self.dimensions)
        reads = [*match.reads, *(read for found in dimensions for read in found.reads)]
        price: Any = None
        if self.cost:
            expression = compile_expression(self.cost)
            price = expression.value
            reads += expression.reads
        overrides = [self._override(override) for override in self.overrides]
        meter = Meter(
            self.name,
            Limits(self.quotas),
            dimensions,
            price,
            Overrides(overrides) if overrides else None,
            self.draft.quotas if self.draft else (),
            leased=self.leased,
            holds=any(ALGORITHMS[quota.algorithm].held for quota in self._all_quotas()),
        )
        return Metered(self, match, tuple(dict.fromkeys(reads)), meter)

    def _all_quotas(self) -> Iterator[Quota]:
        """Of the rule, its overrides and its draft."""
        yield from self.quotas
        for override in self.overrides:
            yield from override.quotas
        if self.draft:
            yield from self.draft.quotas

    def counted(self) -> dict[str, Quota]:
        """All its limits, by what tells them apart in the names of its counters."""
        found = limit_ids("", self.quotas)
        for override in self.overrides:
            found |= limit_ids(override_prefix(override.name), override.quotas)
        return found | limit_ids(DRAFT, self.draft.quotas if self.draft else ())

    def _override(self, override: OverrideDocument) -> Override:
        terms = tuple(
            Term(self.dimensions.index(dimension), text.removesuffix("*"), text.endswith("*"))
            for dimension, text in override.when.items()
        )
        return Override(Limits(override.quotas, override.name), terms)
