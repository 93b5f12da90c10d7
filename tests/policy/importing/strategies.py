"""Rules of every kind, as the API takes them."""

from typing import Any

from hypothesis import strategies as st

from policy.documents import NAME
from policy.errors import InvalidRule
from policy.rules import rule_from_json

names = st.from_regex(NAME, fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
awkward = st.sampled_from(
    ["", "~", "null", "yes", "1e5", "0x1F", "010", "1_0", ".5", "- a", "a: b", "#", "*a", "&a",
     "!a", "'", '"', "a\nb", " a ", "2001-01-01", "=", "<<", "1:30", "\x85", "é", "\U0001f600"]
)  # fmt: skip
printable = st.text(st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"]), max_size=20)
matches = st.sampled_from(
    ["", 'source.service == "a"', "request.headers['x'] == '5m'", "true", "connection.mtls"]
)
common = {
    "name": names,
    "match": matches,
    "description": texts | awkward,
    "mode": st.sampled_from(["enabled", "shadow", "disabled"]),
    "priority": st.integers(-1_000_000, 1_000_000),
}
refusing = {
    "http_status": st.integers(400, 599),
    "message": printable | awkward.filter(str.isprintable),
    "headers": st.dictionaries(st.sampled_from(["x-a", "x-b", "retry-after"]), st.just("1")),
}
limit = {
    "limit": st.integers(1, 10**6),
    "window": st.sampled_from([1, 0.25, 0.000_001, 60.5, 86_400, 31_622_400]),
    "algorithm": st.sampled_from(["token-bucket", "fixed-window"]),
}
dimensions = ["source.service", 'request.headers["x-user"] | "anonymous"']
overrides = st.fixed_dictionaries(
    {"name": names, "when": st.dictionaries(st.sampled_from(dimensions), texts, min_size=1)} | limit
)
operations = st.lists(
    st.fixed_dictionaries(
        {"operation": st.sampled_from(["replace", "append"]), "name": st.just("x-a")}
    ),
    min_size=1,
    max_size=2,
)


def of_kind(kind: str, required: dict[str, Any], optional: dict[str, Any]) -> Any:
    keys = required | {"name": common["name"], "kind": st.just(kind)}
    rest = {key: value for key, value in (common | optional).items() if key not in keys}
    return st.fixed_dictionaries(keys, optional=rest)


patterns = st.lists(st.sampled_from(["*", "a*", "*a", "a", "5"]), min_size=1, max_size=3)
documents = st.one_of(
    of_kind("deny", {}, refusing),
    of_kind(
        "authorization",
        {
            "allow": st.lists(
                st.dictionaries(st.sampled_from(["principals", "methods", "paths"]), patterns),
                max_size=2,
            )
        },
        refusing,
    ),
    of_kind(
        "quota",
        limit,
        refusing
        | {
            "dimensions": st.just(dimensions),
            "overrides": st.lists(overrides, max_size=2),
            "cost": st.sampled_from(["", "request.size | 1"]),
            "on_backend_error": st.sampled_from(["open", "closed", "local"]),
            "draft": st.none() | st.fixed_dictionaries(limit),
        },
    ),
    of_kind(
        "list",
        {
            "type": st.sampled_from(["allow", "deny"]),
            "value": st.just("source.user"),
            "entries": st.lists(printable.filter(bool), max_size=3),
        },
        refusing
        | {
            "entry_type": st.sampled_from(["literal", "prefix"]),
            "case_insensitive": st.booleans(),
            "on_unavailable": st.sampled_from([None, "refuse", "pass"]),
        },
    ),
    of_kind("headers", {"request": operations}, {"response": operations}),
    of_kind(
        "derive",
        {"attributes": st.dictionaries(st.just("derived[a]"), st.just("source.user"), min_size=1)},
        {},
    ),
)


def fit(document: dict[str, Any]) -> bool:
    try:
        rule_from_json(document)
    except InvalidRule:
        return False
    return True


rules = documents.filter(fit).map(rule_from_json)
