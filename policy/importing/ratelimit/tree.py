"""ratelimit's YAML to a tree of descriptors.

A document that ratelimit would refuse to load is refused in part: the descriptor at fault, with
what is inside. It keeps its place beside its siblings, so that none of them takes over its
requests.
"""

from dataclasses import dataclass, field

from policy.importing.places import Place, Refused

UNITS_S = {
    "SECOND": 1,
    "MINUTE": 60,
    "HOUR": 3_600,
    "DAY": 86_400,
    "WEEK": 7 * 86_400,
    "MONTH": 30 * 86_400,
    "YEAR": 365 * 86_400,
}
MAX_WILDCARDS = 250  # of one key beside one another: each is compared with each
UINT32_MAX = 2**32 - 1
ROOT = {"domain", "descriptors"}
LIMIT = {"unit", "requests_per_unit", "unlimited", "name", "replaces"}
REPLACES = {"name"}
DESCRIPTOR = {
    "key", "value", "descriptors", "rate_limit", "shadow_mode", "quota_mode", "detailed_metric",
    "value_to_metric", "share_threshold", "metadata",
}  # fmt: skip
ALL = ROOT | LIMIT | DESCRIPTOR  # ratelimit takes any of them anywhere


@dataclass(frozen=True, slots=True)
class Limit:
    requests: int
    unit_s: int


@dataclass(slots=True, eq=False)
class Descriptor:
    place: Place
    key: str
    value: str  # "": any
    limit: Limit | None = None
    limit_name: str = ""
    shadow: bool = False
    quota: bool = False  # over its limit only together with others
    shared: bool = False  # one counter for all that a wildcard fits
    level: "Level" = field(default_factory=lambda: Level())

    @property
    def text(self) -> str:
        """What ratelimit looks an entry up by."""
        return f"{self.key}_{self.value}" if self.value else self.key

    @property
    def wild(self) -> bool:
        return "*" in self.value


@dataclass(slots=True)
class Level:
    """Descriptors beside one another, in the order they were written, by their keys."""

    by_key: dict[str, list[Descriptor]] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)

    def add(self, descriptor: Descriptor) -> None:
        if descriptor.text in self.texts:
            raise Refused(descriptor.place, f"there is a descriptor {descriptor.text} here already")
        beside = self.by_key.setdefault(descriptor.key, [])
        if descriptor.wild and sum(other.wild for other in beside) >= MAX_WILDCARDS:
            raise Refused(descriptor.place, f"more than {MAX_WILDCARDS} wildcards of one key")
        self.texts.add(descriptor.text)
        beside.append(descriptor)


@dataclass(slots=True)
class Domain:
    name: str
    level: Level = field(default_factory=Level)


def domains(roots: list[Place]) -> list[Domain]:
    found: dict[str, Domain] = {}
    for root in roots:
        try:
            known_keys(root, ROOT)
            name = root.need("domain").text()
            if not name:
                raise Refused(root, "the domain is empty")
            domain = found.setdefault(name, Domain(name))
            read_level(root, domain.level)
        except Refused as error:
            error.place.refuse(error.reason)
    return list(found.values())


def known_keys(place: Place, here: set[str]) -> None:
    for key, found in place.entries().items():
        if key not in ALL:
            raise Refused(place, f"there is no key {key} in ratelimit's format")
        if key not in here:
            found.ignore("has no effect at this place, nor has it in ratelimit")


def read_level(parent: Place, level: Level) -> None:
    listed = parent.get("descriptors")
    for place in listed.items() if listed else ():
        try:
            read_descriptor(place, level)
        except Refused as error:
            error.place.refuse(error.reason)


def read_descriptor(place: Place, level: Level) -> None:
    key = place.get("key")
    value = place.get("value")
    descriptor = Descriptor(place, key.text() if key else "", value.text() if value else "")
    if not descriptor.key:
        raise Refused(place, "a descriptor needs a key")
    if "*" in descriptor.key:
        raise Refused(place, "a * in a key fits entries of several keys, which no rule can say")
    level.add(descriptor)
    known_keys(place, DESCRIPTOR)
    descriptor.shadow = flag(place, "shadow_mode")
    descriptor.shared = flag(place, "share_threshold")
    if descriptor.shared and not descriptor.wild:
        raise Refused(place, "share_threshold needs a * in the value")
    for metric in ("detailed_metric", "value_to_metric"):
        found = place.get(metric)
        if found and found.flag():
            found.ignore("names statistics; here usage and decisions always have the values")
    limit = place.get("rate_limit")
    if limit:
        try:
            read_limit(limit, descriptor)
        except Refused as error:
            limit.refuse(refusal_within(limit, error))
    read_rest(place, descriptor)
    read_level(place, descriptor.level)
    note_idle_flags(descriptor)


def flag(place: Place, key: str) -> bool:
    found = place.get(key)
    return found.flag() if found else False


def refusal_within(place: Place, error: Refused) -> str:
    inside = error.place.path.removeprefix(place.path)
    return f"{inside}: {error.reason}" if inside else error.reason


def read_limit(place: Place, descriptor: Descriptor) -> None:
    known_keys(place, LIMIT)
    name = place.get("name")
    descriptor.limit_name = name.text() if name else ""
    read_replaces(place, descriptor.limit_name)
    unit = place.get("unit")
    unit_s = UNITS_S.get(unit.text().upper()) if unit else None
    requests = place.get("requests_per_unit")
    if flag(place, "unlimited"):
        if unit_s:
            raise Refused(place, "what is unlimited has no unit")
        for found in filter(None, (requests, name)):
            found.ignore("has no effect on what is unlimited")
        return
    if unit_s is None:
        known = ", ".join(UNITS_S).lower()
        raise Refused(place, f"unit {unit.text() if unit else ''!r}, expected one of {known}")
    descriptor.limit = Limit(requests.whole(0, UINT32_MAX) if requests else 0, unit_s)


def read_replaces(limit: Place, own_name: str) -> None:
    replaces = limit.get("replaces")
    for place in replaces.items() if replaces else ():
        known_keys(place, REPLACES)
        name = place.get("name")
        if name is None or not name.text():
            raise Refused(place, "replaces an empty name")
        if name.text() == own_name:
            raise Refused(place, "replaces itself")
        place.changed(
            "does not put that limit out of force: descriptors of one request are decided each by"
            " itself, so a request that has both keeps both limits"
        )


def read_rest(place: Place, descriptor: Descriptor) -> None:
    """What has a part in answers only."""
    quota_mode = place.get("quota_mode")
    descriptor.quota = bool(quota_mode and quota_mode.flag())
    if quota_mode and descriptor.quota and descriptor.limit:
        quota_mode.changed(
            "refuses by itself: ratelimit refuses a request only when all its descriptors of"
            " quota_mode are over their limits"
        )
    metadata = place.get("metadata")
    if metadata:
        metadata.ignore("is not handed to Envoy as dynamic metadata")


def note_idle_flags(descriptor: Descriptor) -> None:
    """Those that do nothing, in ratelimit neither."""
    idle = {
        "shadow_mode": descriptor.shadow and not descriptor.limit,
        "quota_mode": descriptor.quota and not descriptor.limit,
        "share_threshold": descriptor.shared and not counts(descriptor),
    }
    for key, is_idle in idle.items():
        place = descriptor.place.get(key)
        if place and is_idle:
            place.ignore("has no effect without a limit")


def counts(descriptor: Descriptor) -> bool:
    """Whether there is a counter at or below it."""
    if descriptor.limit and descriptor.limit.requests:
        return True
    return any(
        counts(other)
        for beside in descriptor.level.by_key.values()
        for other in beside
        if is_reached(other, beside)
    )


def is_reached(descriptor: Descriptor, beside: list[Descriptor]) -> bool:
    """Whether no wildcard before it takes all. Whole values come before all wildcards."""
    if descriptor.value and not descriptor.wild:
        return True
    before = beside[: beside.index(descriptor)] if descriptor.wild else beside
    return not any(other.wild and not other.value.strip("*") for other in before)
