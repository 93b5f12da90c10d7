"""The rules API's JSON, as its documentation shows it. The rules themselves check the values."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from policy.rules import ALGORITHM_NAMES

STRICT = ConfigDict(extra="forbid", strict=True)
MAX_HITS = 2**32 - 1

Name = Annotated[
    str, Field(description="a DNS label, unique: a-z, 0-9 and -, at most 63", examples=["calm"])
]
Expression = Annotated[
    str,
    Field(
        description="which requests, a match expression; empty: all",
        examples=['destination.service == "b.default" && source.service == "a.default"'],
    ),
]
Description = Annotated[str, Field(description="for people")]
Enabled = Annotated[bool, Field(description="whether it is in force")]
Priority = Annotated[int, Field(description="lower is asked first, then by name")]
HttpStatus = Annotated[int, Field(description="what the caller is told, 400 to 599")]
Message = Annotated[str, Field(description="why, told to the caller")]
Limit = Annotated[int, Field(description="how much may pass in a window", examples=[100])]
Window = Annotated[float, Field(description="seconds, to the microsecond", examples=[1.0])]
AlgorithmName = Annotated[
    str, Field(description="how it is counted", json_schema_extra={"enum": [*ALGORITHM_NAMES]})
]
Burst = Annotated[
    int | None, Field(description="token bucket: how much may pass at once; null: the limit")
]
Tick = Annotated[
    float | None,
    Field(description="rolling window: seconds, how finely it counts; null: 100 ticks or 0.1 s"),
]
Dimensions = Annotated[
    list[str],
    Field(
        description="expressions; each combination of their values has a counter of its own",
        examples=[["source.service", 'request.headers["x-user"] | "anonymous"']],
    ),
]
OnBackendError = Annotated[
    Literal["open", "closed", "local"],
    Field(description="while the counters do not answer: allow, deny, or count in the collector"),
]


class Common(BaseModel):
    model_config = STRICT

    name: Name
    match: Expression = ""
    description: Description = ""
    enabled: Enabled = True
    priority: Priority = 0
    version: int = Field(
        0, description="grows by one with each change, and is the ETag; ignored in what is sent"
    )

    def document(self) -> dict[str, Any]:
        """What `rule_from_json` reads."""
        return self.model_dump()


class Deny(Common):
    """Refuses what it matches."""

    kind: Literal["deny"]
    http_status: HttpStatus = 403
    message: Message = ""


class Quota(Common):
    """Lets `limit` per window pass of what it matches, for each combination of dimensions."""

    kind: Literal["quota"]
    limit: Limit
    window: Window
    algorithm: AlgorithmName = "token-bucket"
    burst: Burst = None
    tick: Tick = None
    dimensions: Dimensions = []
    on_backend_error: OnBackendError = "local"


RuleBody = Annotated[Deny | Quota, Field(discriminator="kind")]


class RulePatch(BaseModel):
    """Only what is to change. Name and kind stay."""

    model_config = STRICT

    match: Expression | None = None
    description: Description | None = None
    enabled: Enabled | None = None
    priority: Priority | None = None
    http_status: HttpStatus | None = None
    message: Message | None = None
    limit: Limit | None = None
    window: Window | None = None
    algorithm: AlgorithmName | None = None
    burst: Burst | None = None
    tick: Tick | None = None
    dimensions: Dimensions | None = None
    on_backend_error: OnBackendError | None = None


class Validity(BaseModel):
    valid: bool = Field(description="always true: a rule that is not gets 422")
    kind: str
    reads: list[str] = Field(description="the attributes it may read")
    destination: str = Field(
        description="the only destination.service it matches, by which it is found; empty: any"
    )


class CheckQuestion(BaseModel):
    model_config = STRICT

    attributes: dict[str, Any] = Field(
        description="names of the vocabulary to values; durations as 1.5s, times as RFC 3339",
        examples=[{"destination.service": "b.default", "source.service": "a.default"}],
    )
    hits: int = Field(
        1, ge=0, le=MAX_HITS, description="charged to each quota that matches; 0 asks only"
    )


class CheckAnswer(BaseModel):
    """Numbers are -1 where they do not apply; times are microseconds from now."""

    id: str
    allowed: bool
    decided_by: str = Field(description="default, deny, quota or fallback")
    rule: str
    rule_version: int
    snapshot_version: int
    reason: str
    http_status: int = Field(description="for a denial")
    limit: int
    remaining: int
    window_us: int
    reset_us: int
    retry_after_us: int
    quota_key: str
    attributes: dict[str, str] = Field(description="what the deciding rule read")


class SnapshotAnswer(BaseModel):
    version: int = Field(description="of the whole set of rules; -1 before any were loaded")
    failing: str = Field(description="why newer rules are not in force; empty: they are")
