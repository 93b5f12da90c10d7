"""Matches and bags that Hypothesis makes up: over few names, so that they meet."""

from typing import Any

from hypothesis import strategies as st

from policy.attributes import Value

TEXTS = ("a", "b", "ab", "")
STRINGS = ("source.service", "destination.service", "source.user", "request.path")
ENTRIES = ("x", "y")

text_of = st.one_of(
    st.sampled_from(STRINGS),
    st.sampled_from([f'request.headers["{entry}"]' for entry in ENTRIES]),
    st.sampled_from([f'"{text}"' for text in TEXTS]),
)
joined = st.one_of(
    text_of,
    st.builds("{} | {}".format, text_of, text_of),
    st.builds("{} + {}".format, text_of, text_of),
    st.builds("toLower({})".format, text_of),
)
atoms = st.one_of(
    st.builds("{} {} {}".format, joined, st.sampled_from(["==", "!=", "<", ">="]), joined),
    st.builds("{}.startsWith({})".format, text_of, text_of),
    st.builds("match({}, {})".format, text_of, st.sampled_from(['"a*"', '"*b"', '"a"'])),
    st.builds('{} in ["a", "ab"]'.format, text_of),
    st.builds('"{}" in request.headers'.format, st.sampled_from(ENTRIES)),
    st.builds("request.size {} {}".format, st.sampled_from(["<", "=="]), st.integers(0, 3)),
    st.just("connection.mtls"),
    st.builds("ip({}) == ip({})".format, text_of, st.just('"10.0.0.1"')),
    st.just("true"),
)
MATCHES: st.SearchStrategy[str] = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=6,
)

values: dict[str, st.SearchStrategy[Value]] = {
    **{name: st.sampled_from(TEXTS) for name in STRINGS},
    "request.headers": st.dictionaries(st.sampled_from(ENTRIES), st.sampled_from(TEXTS)),
    "request.size": st.integers(0, 3),
    "connection.mtls": st.booleans(),
}
BAGS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({}, optional=values)
