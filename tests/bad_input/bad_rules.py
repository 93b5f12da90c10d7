"""Rules and imports that are wrong: what is sent, and what is to be told of it."""

import json
from typing import Any, NamedTuple

from tests.bad_input.live import MIB

HOLD: dict[str, Any] = {
    "kind": "deny",
    "name": "hold",
    "match": 'destination.service == "held"',
    "http_status": 451,
}
QUOTA: dict[str, Any] = {"kind": "quota", "name": "new", "limit": 5, "window": 60}
DENY: dict[str, Any] = {"kind": "deny", "name": "new"}
LIST: dict[str, Any] = {
    "kind": "list",
    "name": "new",
    "type": "deny",
    "value": "source.user",
    "entries": ["ann"],
}
KELVIN, CYRILLIC_O, FULL_WIDTH_S = "\u212a", "\u043e", "\uff53"


def matching(match: str) -> dict[str, Any]:
    return DENY | {"match": match}


class Refusal(NamedTuple):
    """A rule that is sent, and the problem that answers it."""

    id: str
    sent: Any  # a rule, or the bytes of a body
    status: int
    place: str
    words: str  # of the reason
    at: tuple[int, int] | None = None  # line and column in the expression


REFUSED = [
    Refusal(
        "a back-reference",
        matching(r'request.path.matches("(a+)\\1")'),
        422,
        "/match",
        "escape",
        (1, 22),
    ),
    Refusal(
        "looking ahead", matching('request.path.matches("(?=a+)+$")'), 422, "/match", "(?=", (1, 22)
    ),
    Refusal(
        "a pattern of a billion states",
        matching('request.path.matches("((a{1000}){1000}){1000}")'),
        422,
        "/match",
        "",
        (1, 22),
    ),
    Refusal(
        "ReDoS in entries",
        LIST | {"entry_type": "regex", "entries": [r"(a)\1"]},
        422,
        "/entries/0",
        "escape",
    ),
    Refusal(
        "4097 bytes",
        matching('"' + "a" * 4088 + '" == "b"'),
        422,
        "/match",
        "longer than 4096 bytes",
        (1, 1),
    ),
    Refusal(
        "33 deep",
        matching("(" * 33 + "true" + ")" * 33),
        422,
        "/match",
        "nested deeper than 32",
        (1, 33),
    ),
    Refusal(
        "a thousand times not",
        matching("!" * 1000 + "true"),
        422,
        "/match",
        "nested deeper than 32",
    ),
    Refusal("257 terms", matching(" || ".join(["true"] * 257)), 422, "/match", ""),
    Refusal("a name that is taken", HOLD, 409, "", "hold"),
    Refusal(
        "a field twice",
        b'{"kind": "deny", "name": "new", "name": "hold"}',
        422,
        "",
        "'name' is there twice",
    ),
    Refusal(
        "a list that is not there",
        {key: LIST[key] for key in LIST if key != "entries"} | {"list": "none"},
        422,
        "/list",
        "there is no list 'none'",
    ),
    Refusal(
        "no list at all",
        {key: LIST[key] for key in LIST if key != "entries"},
        422,
        "/entries",
        "either entries or list",
    ),
    Refusal(
        "deriving derived",
        DENY | {"kind": "derive", "attributes": {"derived": "derived"}},
        422,
        "/attributes/derived",
        "derived[NAME]",
    ),
    Refusal(
        "deriving of what is unknown",
        DENY | {"kind": "derive", "attributes": {"derived[a]": "derived.b"}},
        422,
        "/attributes/derived[a]",
        "unknown attribute",
    ),
    Refusal("a limit below 0", QUOTA | {"limit": -1}, 422, "/limit", "-1, expected 1 to"),
    Refusal("a limit of 2**63", QUOTA | {"limit": 2**63}, 422, "/limit", "expected"),
    Refusal("a limit of 400 digits", QUOTA | {"limit": 10**400}, 422, "/limit", ""),
    Refusal(
        "a limit of 1e308",
        json.dumps(QUOTA).replace("5", "1e308").encode(),
        422,
        "/limit",
        "integer",
    ),
    Refusal("a window of 0", QUOTA | {"window": 0}, 422, "/window", ""),
    Refusal("a window of a nanosecond", QUOTA | {"window": 1e-9}, 422, "/window", ""),
    Refusal("a window of an age", QUOTA | {"window": 1e12}, 422, "/window", ""),
    Refusal(
        "a window of no number", json.dumps(QUOTA).replace("60", "NaN").encode(), 422, "/window", ""
    ),
    Refusal(
        "a second limit of 0",
        {
            "kind": "quota",
            "name": "new",
            "limits": [{"limit": 5, "window": 60}, {"limit": 0, "window": 1}],
        },
        422,
        "/limits/1/limit",
        "expected 1 to",
    ),
    Refusal(
        "nine limits",
        {
            "kind": "quota",
            "name": "new",
            "limits": [{"limit": 5, "window": n + 1} for n in range(9)],
        },
        422,
        "/limits",
        "",
    ),
    Refusal(
        "a burst of nothing", QUOTA | {"algorithm": "token-bucket", "burst": 0}, 422, "/burst", ""
    ),
    Refusal(
        "an override of a negative limit",
        QUOTA
        | {
            "dimensions": ["source.user"],
            "overrides": [{"name": "o", "when": {"source.user": "ann"}, "limit": -5, "window": 60}],
        },
        422,
        "/overrides/0/limit",
        "-5",
    ),
    Refusal(
        "a time zone of no place",
        QUOTA | {"algorithm": "calendar-window", "window": "day", "time_zone": "Mars/Olympus"},
        422,
        "/time_zone",
        "Mars/Olympus",
    ),
    Refusal(
        "an unknown attribute",
        matching('source.sevrice == "a"'),
        422,
        "/match",
        "did you mean source.service?",
        (1, 1),
    ),
    Refusal("a text and a number", matching('destination.port ==\n "80"'), 422, "/match", "INT64"),
    Refusal("a match of no truth", matching("source.service"), 422, "/match", "BOOL"),
    Refusal("a cost of no number", QUOTA | {"cost": "source.service"}, 422, "/cost", "INT64"),
    Refusal(
        "a Cyrillic o in an attribute",
        matching(f's{CYRILLIC_O}urce.service == "a"'),
        422,
        "/match",
        "",
        (1, 2),
    ),
    Refusal(
        "a full-width s in an attribute",
        matching(f'{FULL_WIDTH_S}ource.service == "a"'),
        422,
        "/match",
        "",
        (1, 1),
    ),
    Refusal(
        "a Cyrillic o in a name",
        DENY | {"name": f"h{CYRILLIC_O}ld"},
        422,
        "/name",
        "expected a DNS label",
    ),
    Refusal(
        "the Kelvin sign in a name",
        DENY | {"name": f"{KELVIN}elvin"},
        422,
        "/name",
        "expected a DNS label",
    ),
    Refusal(
        "a name with a line after it",
        DENY | {"name": "new\n"},
        422,
        "/name",
        "expected a DNS label",
    ),
    Refusal("a name with a 0 in it", DENY | {"name": "n\0w"}, 422, "/name", "expected a DNS label"),
    Refusal(
        "a Cyrillic o in a derivation",
        DENY | {"kind": "derive", "attributes": {f"s{CYRILLIC_O}urce.user": '"a"'}},
        422,
        f"/attributes/s{CYRILLIC_O}urce.user",
        "expected an attribute",
    ),
    Refusal(
        "half of a character",
        rb'{"kind": "deny", "name": "new", "message": "\ud800"}',
        422,
        "/message",
        "",
    ),
    Refusal("a name of a number", DENY | {"name": 7}, 422, "/name", "string"),
    Refusal("a match of a map", DENY | {"match": {}}, 422, "/match", "string"),
    Refusal("a priority of a text", DENY | {"priority": "1"}, 422, "/priority", "integer"),
    Refusal("a priority beyond measure", DENY | {"priority": 2**63}, 422, "/priority", ""),
    Refusal("a mode of nothing", DENY | {"mode": None}, 422, "/mode", ""),
    Refusal("headers of a list", DENY | {"headers": ["a"]}, 422, "/headers", ""),
    Refusal(
        "a header that ends the line",
        DENY | {"headers": {"x-a": "b\r\nx-c: d"}},
        422,
        "/headers/x-a",
        "",
    ),
    Refusal("a field of nobody", DENY | {"limit": 5}, 422, "/limit", "there is no such field here"),
    Refusal("a kind of nobody", DENY | {"kind": "dény"}, 422, "/kind", "expected one of"),
    Refusal("a rule of a text", b'"deny"', 422, "", ""),
    Refusal("a rule of nothing", b"null", 422, "", ""),
    Refusal("half of a rule", b'{"kind": "deny"', 422, "", ""),
    Refusal("a rule a million deep", b'{"kind": ' + b"[" * MIB, 400, "", ""),
    Refusal(
        "17 MiB",
        b'{"description": "' + b"a" * (17 * MIB) + b'"}',
        413,
        "",
        "larger than 16777216 bytes",
    ),
    Refusal(
        "a million values",
        b'{"entries": [' + b"1," * 1_000_000 + b"1]}",
        413,
        "",
        "more than 500000 values",
    ),
]


def nested(count: int) -> str:
    return "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, count))


IMPORTS = [
    ("a bomb of aliases", f"a0: &a0 [x, x]\n{nested(40)}", "aliases counted"),
    ("an alias of itself", "rules: &a [*a]", "stands inside what it names"),
    ("a tag of Python", "rules: !!python/object/apply:os.system [id]", "is not one of data"),
    ("a tag of its own", "rules: !mine []", "is not one of data"),
    ("a key twice", "rules: []\nrules: []", "the key rules is there twice"),
    ("half a million deep", "[" * 500_000, "nested deeper than 64"),
    ("a name twice", "rules: [{kind: deny, name: new}, {kind: deny, name: new}]", "another new"),
    (
        "a list that is not there",
        "rules: [{kind: list, name: new, type: deny, value: source.user, list: none}]",
        "there is no list 'none'",
    ),
    (
        "a hundred thousand rules in a text",
        "".join(f"- {{kind: deny, name: n{n}}}\n" for n in range(100_000)),
        "longer than 1048576 bytes",
    ),
    ("a limit below 0", "rules: [{kind: quota, name: new, limit: -1, window: 1}]", "-1, expected"),
    (
        "a Cyrillic o in a name",
        f"rules: [{{kind: deny, name: h{CYRILLIC_O}ld}}]",
        "expected a DNS label",
    ),
]
