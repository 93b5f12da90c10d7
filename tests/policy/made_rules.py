"""Sets of rules that Hypothesis makes up, over the names of `expressions`."""

from typing import Any

from hypothesis import strategies as st

from tests.policy.expressions import MATCHES, STRINGS, TEXTS

MINUTE = {"window": 60, "algorithm": "fixed-window"}

limits = st.one_of(
    st.builds(
        lambda limit: {"limit": limit, "window": 10, "algorithm": "concurrency"}, st.integers(1, 3)
    ),
    st.builds(lambda limit: {"limit": limit, "window": 10}, st.integers(1, 4)),
    st.builds(lambda limit: {"limit": limit, **MINUTE}, st.integers(1, 4)),
    st.builds(
        lambda first, second: {
            "limits": [
                {"limit": first, **MINUTE},
                {"limit": second, "window": 9, "algorithm": "rolling-window"},
            ]
        },
        st.integers(1, 4),
        st.integers(1, 4),
    ),
)
overrides = st.builds(
    lambda value, how: {"when": {"source.service": value}} | how,
    st.sampled_from(["a", "b*", "*"]),
    st.one_of(limits, st.just({"unlimited": True})),
)
narrowed = st.one_of(
    st.just(""),
    MATCHES,
    st.builds('destination.service == "{}" && ({})'.format, st.sampled_from(TEXTS), MATCHES),
)
patterns = st.lists(st.sampled_from(["a", "b*", "*b", "*"]), min_size=1, max_size=2)
kinds: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda status: {"kind": "deny", "http_status": status}, st.sampled_from([403, 451])),
    st.builds(
        lambda services: {"kind": "authorization", "allow": [{"services": services}]}, patterns
    ),
    st.builds(
        lambda how, override, draft, more: {
            "kind": "quota",
            "dimensions": ["source.service"],
            **how,
            "overrides": [{"name": "o", **override}] if override else [],
            "draft": draft,
            **more,
        },
        limits,
        st.none() | overrides,
        st.none() | limits,
        st.sampled_from([{}, {"cost": "request.size"}, {"on_backend_error": "open"},
                         {"on_backend_error": "closed"}]),
    ),
    st.just(
        {
            "kind": "headers",
            "request": [{"operation": "replace", "name": "x-a", "value": "1"}],
            "response": [{"operation": "append", "name": "x-b", "value": "2"}],
        }
    ),
    st.builds(
        lambda name, value: {"kind": "derive", "attributes": {name: value}},
        st.sampled_from([*STRINGS, "derived[a]", "derived[b]"]),
        st.sampled_from(
            ["source.service", 'request.headers["x"] | "a"', '"b"', 'derived["a"]', "request.path"]
        ),
    ),
)  # fmt: skip
RULES: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.builds(
        lambda kind, match, mode, priority: {
            **kind, "match": match, "mode": mode, "priority": priority
        },
        kinds,
        narrowed,
        st.sampled_from(["enabled", "enabled", "enabled", "shadow", "disabled"]),
        st.integers(0, 2),
    ),
    max_size=8,
).map(lambda rules: [{"name": f"r{at}", **rule} for at, rule in enumerate(rules)])  # fmt: skip
