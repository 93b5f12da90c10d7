"""Istio Mixer's configuration as rules."""

from typing import Any

import pytest
import yaml

from policy.importing import Imported, Severity
from tests.policy.deciding import ask, deciding
from tests.policy.importing.importing import clean, imported, said

Spec = dict[str, Any]


def resource(
    kind: str, name: str, spec: Spec | None = None, namespace: str = "istio-system"
) -> str:
    metadata = {"name": name, "namespace": namespace}
    return yaml.safe_dump({"kind": kind, "metadata": metadata, "spec": spec}) + "---\n"


def rule(handler: str, *instances: str, name: str = "r", match: str = "", **more: Any) -> str:
    """In the default configuration namespace, unless it is said."""
    namespace = more.pop("namespace", "istio-system")
    actions = [{"handler": handler, "instances": [*instances]}]
    return resource("rule", name, {"match": match, "actions": actions, **more}, namespace)


DENIER = resource("denier", "no") + resource("checknothing", "any")
QUOTA = resource("quota", "calm", {"dimensions": {"user": 'source.user | "nobody"'}})
SPEC = resource("QuotaSpec", "s", {"rules": [{"quotas": [{"quota": "calm", "charge": 1}]}]})
BINDING = resource(
    "QuotaSpecBinding", "b", {"services": [{"service": "*"}], "quotaSpecs": [{"name": "s"}]}
)
EVERYWHERE = SPEC + BINDING


def memquota(**limit: Any) -> str:
    known = {"name": "calm.quota.istio-system", "maxAmount": 5, "validDuration": "1s"}
    return resource("memquota", "h", {"quotas": [known | limit]})


def redisquota(**limit: Any) -> str:
    return memquota(**limit).replace("kind: memquota", "kind: redisquota")


def counted(text: str = "", handler: str = "", spec: str = EVERYWHERE, **how: Any) -> str:
    adapter = "redisquota" if "kind: redisquota" in handler else "memquota"
    made = rule(f"h.{adapter}", "calm.quota", **how)
    return (handler or memquota()) + QUOTA + spec + made + text


def one(found: Imported) -> dict[str, Any]:
    (document,) = found.rules
    return document


def test_a_denier_is_a_deny_rule_with_the_status_of_its_code():
    status = {"status": {"code": 7, "message": "closed"}}
    text = resource("denier", "no", status) + resource("checknothing", "any")
    assert one(clean(text + rule("no.denier", "any.checknothing", match="connection.mtls"))) == {
        "name": "r-istio-system",
        "kind": "deny",
        "description": "mixer: rule r of istio-system",
        "match": "connection.mtls",
        "http_status": 403,
        "message": "closed",
    }


@pytest.mark.parametrize(
    ("code", "status"), [(None, 400), (3, 400), (5, 404), (8, 429), (14, 503), (16, 401), (99, 500)]
)
def test_codes_become_the_status_that_proxies_answer(code, status):
    spec = {} if code is None else {"status": {"code": code}}
    text = resource("denier", "no", spec) + resource("checknothing", "any")
    assert one(clean(text + rule("no.denier", "any.checknothing")))["http_status"] == status


def test_a_denier_whose_status_is_ok_denies_nothing():
    text = resource("denier", "no", {"status": {"code": 0}}) + resource("checknothing", "any")
    found = clean(text + rule("no.denier", "any.checknothing"))
    assert found.rules == []
    reason = "its status is OK, so it denies nothing"
    assert ("/spec/actions/0/instances/0", reason) in said(found, Severity.IGNORED)


def test_the_rules_of_a_namespace_are_for_requests_to_it_or_from_it_as_the_reporter_is():
    local = DENIER.replace("istio-system", "shop")
    document = one(clean(local + rule("no.denier", "any.checknothing", namespace="shop")))
    engine = deciding(document)

    def allowed(**bag: str) -> bool:
        named = {key.replace("_", "."): value for key, value in bag.items()}
        return ask(engine, named).allowed

    assert not allowed(destination_namespace="shop")
    assert allowed(destination_namespace="other")
    assert allowed(source_namespace="shop")
    outbound = {"context_reporter_kind": "outbound", "destination_namespace": "shop"}
    assert allowed(**outbound, source_namespace="other")
    assert not allowed(**outbound, source_namespace="shop")
    assert allowed()


def test_an_either_in_a_match_stays_together():
    text = DENIER.replace("istio-system", "shop")
    either = 'source.user == "a" || source.user == "b"'
    found = clean(text + rule("no.denier", "any.checknothing", namespace="shop", match=either))
    assert one(found)["match"].endswith(f' == "shop" && ({either})')


@pytest.mark.parametrize(
    ("handler", "instance"),
    [
        ("no.denier", "any.checknothing"),
        ("no.denier.istio-system", "any.checknothing.istio-system"),
    ],
)
def test_names_are_short_or_in_full(handler, instance):
    assert len(clean(DENIER + rule(handler, instance)).rules) == 1


@pytest.mark.parametrize(
    ("handler", "instance"),
    [
        ("no", "any"),
        ("no.handler.other", "any.instance.other"),
        ("no.other", "any.other"),
    ],
)
def test_the_kinds_handler_and_instance_are_as_those_of_their_own(handler, instance):
    namespace = "other" if "other" in handler else "istio-system"
    text = resource("handler", "no", {"compiledAdapter": "denier", "params": {}}, namespace)
    text += resource("instance", "any", {"compiledTemplate": "checknothing"}, namespace)
    assert one(clean(text + rule(handler, instance)))["kind"] == "deny"


@pytest.mark.parametrize("field", ["adapter", "compiled_adapter"])
def test_fields_have_either_name(field):
    text = resource("handler", "no", {field: "denier"}) + resource("checknothing", "any")
    assert len(clean(text + rule("no", "any.checknothing")).rules) == 1


def test_a_list_is_read_as_its_items():
    items = [
        yaml.safe_load(part)
        for part in (DENIER + rule("no.denier", "any.checknothing")).split("---\n")
        if part
    ]
    whole = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items})
    assert len(clean(whole).rules) == 1


def test_memquota_is_a_rolling_window_of_tenths_of_a_second():
    document = one(clean(counted()))
    assert {key: document[key] for key in document if key not in ("name", "description")} == {
        "kind": "quota",
        "match": "",
        "limit": 5,
        "window": 1.0,
        "algorithm": "rolling-window",
        "tick": 0.1,
        "dimensions": ['source.user | "nobody"'],
        "overrides": [],
        "cost": "",
    }


@pytest.mark.parametrize(
    ("valid", "window", "tick"),
    [("0.5s", 1, 0.1), ("1500ms", 2, 0.1), ("60s", 60, 0.1), ("1m", 60, 0.1)],
)
def test_memquota_counts_whole_seconds(valid, window, tick):
    document = one(clean(counted(handler=memquota(validDuration=valid))))
    assert (document["window"], document["tick"]) == (window, tick)


def test_a_long_window_counts_more_coarsely_and_says_so():
    found = imported(counted(handler=memquota(validDuration="1h")))
    assert (one(found)["window"], one(found)["tick"]) == (3600, 6)
    ((path, reason),) = said(found, Severity.CHANGED)
    assert path == "/spec/quotas/0"
    assert reason == "counts in ticks of 6 s, not of 0.1 s: a window has at most 600"


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ({}, {"algorithm": "fixed-window", "window": 1.0}),
        (
            {"rateLimitAlgorithm": "ROLLING_WINDOW", "bucketDuration": "250ms"},
            {"algorithm": "rolling-window", "window": 1.0, "tick": 0.25},
        ),
        (
            {"rate_limit_algorithm": 1, "bucket_duration": "250ms"},
            {"algorithm": "rolling-window", "window": 1.0, "tick": 0.25},
        ),
    ],
)
def test_redisquota_is_a_fixed_window_or_one_of_buckets(limit, expected):
    found = imported(counted(handler=redisquota(**limit)))
    assert said(found) == []
    assert expected.items() <= one(found).items()
    assert any("redisquota" in reason for _, reason in said(found, Severity.CHANGED))


def test_a_quota_is_charged_where_the_spec_and_the_binding_say():
    spec = resource(
        "QuotaSpec",
        "s",
        {
            "rules": [
                {
                    "match": [{"clause": {"request.path": {"prefix": "/a"}}}],
                    "quotas": [{"quota": "Calm", "charge": "2"}],
                },
                {
                    "match": [
                        {"clause": {"request.method": {"exact": "POST"}}},
                        {
                            "clause": {
                                "request.host": {"regex": "b+"},
                                "request.path": {"exact": "/b"},
                            }
                        },
                    ],
                    "quotas": [{"quota": "calm", "charge": 7}],
                },
            ]
        },
    )
    binding = BINDING.replace("service: '*'", "name: cart\n    namespace: shop")
    document = one(imported(counted(spec=spec + binding)))
    engine = deciding(document | {"limit": 100})

    def charged(**bag: str) -> int:
        named = {key.replace("_", "."): value for key, value in bag.items()}
        decision = ask(engine, named | {"source.user": str(bag)})
        return 100 - decision.remaining if decision.rule else 0

    cart = {"destination_service": "cart.shop"}
    assert charged(**cart, request_path="/a/b") == 2
    assert charged(destination_service="cart.shop.svc.cluster.local", request_path="/a") == 2
    assert charged(**cart, request_method="POST") == 7
    assert charged(**cart, request_path="/b", request_host="bbb") == 7
    assert charged(**cart, request_path="/b", request_host="bbbc") == 0
    assert charged(**cart, request_path="/a", request_method="POST") == 7, "the last one counts"
    assert charged(**cart) == 0
    assert charged(destination_service="pay.shop", request_path="/a") == 0
    assert charged(request_path="/a") == 0


@pytest.mark.parametrize(
    ("service", "to", "charged"),
    [
        ({"service": "*"}, "any", True),
        ({"service": "*.shop.*"}, "cart.shop.svc.cluster.local", True),
        ({"service": "*.shop.*"}, "cart.shop", True),
        ({"service": "*.shop.*"}, "cart.shops", False),
        ({"service": "cart.shop.svc.cluster.local"}, "cart.shop", True),
        ({"service": "api.example.com"}, "api.example.com", True),
        ({"name": "cart"}, "cart.istio-system", True),
        ({"name": "cart", "namespace": "shop"}, "cart.shop", True),
        ({"name": "cart", "namespace": "shop", "domain": "svc.a"}, "cart.shop.svc.a", True),
        ({"name": "cart", "namespace": "shop"}, "pay.shop", False),
    ],
)
def test_a_binding_is_for_the_services_that_it_names(service, to, charged):
    binding = resource(
        "QuotaSpecBinding", "b", {"services": [service], "quotaSpecs": [{"name": "s"}]}
    )
    engine = deciding(one(clean(counted(spec=SPEC + binding))))
    assert bool(ask(engine, {"destination.service": to}).rule) is charged


def test_without_any_spec_every_request_is_charged_and_that_is_noted():
    found = imported(counted(spec=""))
    assert "mode" not in one(found)
    reason = "no QuotaSpec is imported that says who is charged: every request is"
    assert said(found, Severity.CHANGED) == [("/spec/actions/0/instances/0", reason)]


@pytest.mark.parametrize("spec", [SPEC, (SPEC + BINDING).replace("quota: calm", "quota: other")])
def test_a_quota_that_no_bound_spec_charges_is_disabled(spec):
    found = imported(counted(spec=spec))
    assert one(found)["mode"] == "disabled"
    reason = "no QuotaSpec that is bound charges it, so it is disabled"
    assert said(found, Severity.CHANGED) == [("/spec/actions/0/instances/0", reason)]


def test_an_override_replaces_the_limit_for_values_of_dimensions():
    overrides = [{"dimensions": {"user": "ann"}, "maxAmount": 9, "validDuration": "5s"}]
    document = one(clean(counted(handler=memquota(overrides=overrides))))
    assert document["overrides"] == [
        {
            "name": "000-ann",
            "when": {'source.user | "nobody"': "ann"},
            "limit": 9,
            "window": 5.0,
            "algorithm": "rolling-window",
            "tick": 0.1,
        }
    ]


@pytest.mark.parametrize(
    ("dimension", "given", "written"),
    [
        ("source.ip", "10.1.2.3", "10.1.2.3"),
        ("source.ip", "::ffff:10.1.2.3", "10.1.2.3"),
        ("destination.port", "080", "80"),
        ("connection.mtls", "true", "true"),
        ("connection.duration", "1m30s", "90s"),
    ],
)
def test_values_are_compared_as_their_type_is_written(dimension, given, written):
    text = counted(
        handler=memquota(
            overrides=[{"dimensions": {"user": given}, "maxAmount": 9, "validDuration": "1s"}]
        )
    ).replace('source.user | "nobody"', dimension)
    (override,) = one(clean(text))["overrides"]
    assert override["when"] == {dimension: written}


LONG = {"maxAmount": 1, "validDuration": "1s"}


@pytest.mark.parametrize(
    ("dimensions", "reason"),
    [
        ({"nobody": "x"}, "never fits: the instance has no dimension nobody"),
        ({"user": "ann", "other": "y"}, "never fits: the instance has no dimension other"),
    ],
)
def test_an_override_that_never_fits_is_noted(dimensions, reason):
    found = clean(counted(handler=memquota(overrides=[{"dimensions": dimensions, **LONG}])))
    assert one(found)["overrides"] == []
    assert said(found, Severity.IGNORED) == [("/spec/quotas/0/overrides/0", reason)]


def test_an_override_that_is_never_reached_is_noted():
    overrides = [{"dimensions": {"user": "ann"}, **LONG}] * 2
    found = clean(counted(handler=memquota(overrides=overrides)))
    assert len(one(found)["overrides"]) == 1
    reason = "is never reached: one before it fits all that it fits"
    assert said(found, Severity.IGNORED) == [("/spec/quotas/0/overrides/1", reason)]


def test_an_override_for_all_takes_the_place_of_the_limit():
    overrides = [
        {"dimensions": {"user": "ann"}, **LONG},
        {"maxAmount": 77, "validDuration": "2s"},
        {"dimensions": {"user": "bob"}, **LONG},
    ]
    document = one(clean(counted(handler=memquota(overrides=overrides))))
    assert (document["limit"], document["window"]) == (77, 2)
    assert [override["limit"] for override in document["overrides"]] == [1]


def test_where_the_first_and_the_most_specific_differ_is_noted():
    text = counted(
        handler=memquota(
            overrides=[
                {"dimensions": {"a": "1"}, **LONG},
                {"dimensions": {"b": "2", "c": "3"}, **LONG},
            ]
        )
    ).replace('user: source.user | "nobody"', "{a: source.user, b: source.name, c: source.owner}")
    assert "{a: source.user" in text
    found = imported(text)
    ((path, reason),) = said(found, Severity.CHANGED)
    assert path == "/spec/quotas/0/overrides/1"
    assert reason.startswith("also fits requests that /spec/quotas/0/overrides/0 fits")


def test_a_limit_of_0_refuses_all():
    document = one(clean(counted(handler=memquota(maxAmount=0))))
    assert (document["kind"], document["http_status"]) == ("deny", 429)


def test_a_denier_of_quotas_refuses_where_they_are_charged():
    binding = BINDING.replace("service: '*'", "service: a.b")
    text = resource("denier", "no") + QUOTA + SPEC + binding + rule("no.denier", "calm.quota")
    document = one(clean(text))
    assert (document["kind"], document["http_status"]) == ("deny", 429)
    assert document["match"] == '(destination.service | "") == "a.b"'


def test_two_rules_of_one_quota_count_apart_and_that_is_noted():
    found = imported(counted(rule("h.memquota", "calm.quota", name="again")))
    assert [document["name"] for document in found.rules] == [
        "r-istio-system",
        "again-istio-system",
    ]
    ((_, reason),) = said(found, Severity.CHANGED)
    assert reason == "counts apart from the rule r; in Mixer both are one"


def listed(**params: Any) -> str:
    value = resource("listentry", "v", {"value": "source.ip"})
    return resource("listchecker", "l", params) + value + rule("l.listchecker", "v.listentry")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ("allow", "literal", False, 404)),
        ({"blacklist": True}, ("deny", "literal", False, 403)),
        ({"entryType": "CASE_INSENSITIVE_STRINGS"}, ("allow", "literal", True, 404)),
        ({"entry_type": "IP_ADDRESSES"}, ("allow", "cidr", False, 404)),
        ({"entryType": 3}, ("allow", "regex", False, 404)),
    ],
)
def test_a_listchecker_is_a_list_rule(params, expected):
    document = one(clean(listed(overrides=["10.0.0.0"], **params)))
    assert document["entries"] == ["10.0.0.0"]
    keys = ("type", "entry_type", "case_insensitive", "http_status")
    assert tuple(document[key] for key in keys) == expected


def test_a_list_that_is_fetched_is_a_list_of_its_own():
    found = imported(
        listed(providerUrl="https://lists.example/a", refreshInterval="30s", ttl="300s")
    )
    assert one(found)["list"] == "l-istio-system"
    (named,) = found.lists
    assert (named["url"], named["refresh"], named["ttl"]) == ("https://lists.example/a", 30, 300)
    ((path, reason),) = said(found, Severity.CHANGED)
    assert (path, "stay in force" in reason) == ("/spec/providerUrl", True)


def test_a_black_list_that_is_fetched_and_has_entries_is_two_rules():
    found = imported(
        listed(providerUrl="https://lists.example/a", overrides=["a"], blacklist=True), prefix="p"
    )
    names = [document["name"] for document in found.rules]
    assert names == ["p-r-istio-system-l-v-fetched", "p-r-istio-system-l-v-own"]
    assert found.rules[0]["list"] == found.lists[0]["name"] == "p-l-istio-system"
    assert found.rules[1]["entries"] == ["a"]


AUTHORIZATION = resource(
    "authorization",
    "a",
    {
        "subject": {
            "user": 'source.user | ""',
            "properties": {"source.namespace": 'source.namespace | ""'},
        },
        "action": {
            "namespace": 'destination.namespace | ""',
            "service": 'destination.service | ""',
            "method": 'request.method | ""',
            "path": 'request.path | ""',
        },
    },
)


def role(name: str, *rules: Spec, subjects: list[Spec], namespace: str = "shop") -> str:
    binding = {"subjects": subjects, "roleRef": {"kind": "ServiceRole", "name": name}}
    return resource("ServiceRole", name, {"rules": [*rules]}, namespace) + resource(
        "ServiceRoleBinding", name, binding, namespace
    )


def test_roles_and_their_bindings_are_authorization_rules():
    read = {"services": ["*"], "methods": ["GET"]}
    write = {"services": ["cart"], "methods": ["*"], "paths": ["/items/*"]}
    text = resource("rbac", "h") + AUTHORIZATION + rule("h.rbac", "a.authorization")
    text += role("reader", read, subjects=[{"user": "*"}])
    text += role(
        "writer",
        write,
        subjects=[{"user": "ann"}, {"properties": {"source.namespace": "back"}}],
    )
    found = clean(text)
    engine = deciding(*found.rules)

    def allowed(method: str, path: str = "/", to: str = "cart.shop", **bag: str) -> bool:
        named = {key.replace("_", "."): value for key, value in bag.items()}
        request = {"request.method": method, "request.path": path, "destination.service": to}
        return ask(engine, {"destination.namespace": "shop"} | request | named).allowed

    assert allowed("GET")
    assert allowed("GET", to="pay.shop")
    assert not allowed("POST", "/items/1")
    assert allowed("POST", "/items/1", source_principal="ann")
    assert allowed("POST", "/items/1", source_namespace="back")
    assert allowed("POST", "/items/1", "cart.shop.svc.cluster.local", source_principal="ann")
    assert not allowed("POST", "/other", source_principal="ann")
    assert not allowed("POST", "/items/1", "pay.shop", source_principal="ann")
    assert not allowed("GET", destination_namespace="elsewhere")


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        (("methods: [GET]", "methods: [GET], constraints: [{key: a, values: [b]}]"),
         "/spec/rules/0", "constraints cannot be imported: the rule lets nobody"),
        (("services: ['*']", "services: [a*]"), "/spec/rules/0",
         "of services only names and * are imported, not a*"),
        (("user: '*'", "group: g"), "/spec/subjects/0/group",
         "groups and lists of names cannot be imported"),
        (("user: '*'", "properties: {color: red}"), "/spec/subjects/0/properties/color",
         "the authorization instance has no property color that is known"),
    ],
)  # fmt: skip
def test_what_a_role_says_and_cannot_be_imported_lets_nobody_pass(change, path, reason):
    text = resource("rbac", "h") + AUTHORIZATION + rule("h.rbac", "a.authorization")
    roles = (
        "kind: ServiceRole\nmetadata: {name: r, namespace: shop}\n"
        "spec: {rules: [{services: ['*'], methods: [GET]}]}\n---\n"
        "kind: ServiceRoleBinding\nmetadata: {name: b, namespace: shop}\n"
        "spec: {subjects: [{user: '*'}], roleRef: {name: r}}\n"
    )
    assert change[0] in roles
    found = imported(text + roles.replace(*change))
    assert said(found) == [(path, reason)]
    engine = deciding(*found.rules)
    bag = {"destination.namespace": "shop", "destination.service": "a.shop"}
    assert not ask(engine, bag | {"request.method": "GET"}).allowed


def test_operations_on_headers_are_a_headers_rule():
    operations = [
        {"name": "X-A", "values": ['"1"', "'2'"], "operation": "APPEND"},
        {"name": "x-b", "operation": "REMOVE"},
    ]
    text = resource("rule", "r", {"requestHeaderOperations": operations})
    assert one(clean(text))["request"] == [
        {"operation": "append", "name": "x-a", "value": "1"},
        {"operation": "append", "name": "x-a", "value": "2"},
        {"operation": "remove", "name": "x-b"},
    ]


def test_telemetry_is_left_out():
    text = resource("prometheus", "p", {"metrics": []}) + resource("metric", "m", {"value": "1"})
    found = clean(text + rule("p.prometheus", "m.metric"))
    assert found.rules == []
    assert [reason for _, reason in said(found, Severity.IGNORED)] == ["is telemetry"] * 3


def test_what_no_rule_uses_is_noted():
    reasons = [reason for _, reason in said(clean(DENIER), Severity.IGNORED)]
    assert reasons == ["no rule that is imported uses it"] * 2


def test_a_manifest_is_held_against_the_vocabulary():
    attributes = {
        "source.user": {"valueType": "STRING"},
        "source.ip": {"valueType": 6},
        "request.size": {"value_type": "STRING"},
        "my.own": {"valueType": "BOOL"},
    }
    found = imported(resource("attributemanifest", "m", {"attributes": attributes}))
    assert said(found) == [
        ("/spec/attributes/my.own", "there is no attribute my.own here"),
        ("/spec/attributes/request.size", "request.size is INT64 here, not STRING"),
    ]


def test_names_as_only_istio_tells_them_are_noted():
    match = 'destination.service == "cart.shop.svc.cluster.local"'
    found = imported(DENIER + rule("no.denier", "any.checknothing", match=match))
    assert one(found)["match"] == match
    ((path, reason),) = said(found, Severity.CHANGED)
    assert (path, "told by Istio only" in reason) == ("/spec/match", True)


def test_a_namespace_that_is_not_said_is_noted():
    text = (DENIER + rule("no.denier", "any.checknothing")).replace(
        "  namespace: istio-system\n", ""
    )
    found = imported(text)
    assert one(found)["name"] == "r-default"
    assert said(found, Severity.CHANGED) == [("/metadata", "names no namespace: taken for default")]


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        (rule("none", "any"), "/spec/actions/0/handler", "there is no handler none"),
        (DENIER + rule("no.denier", "none"), "/spec/actions/0/instances/0", "there is no instance"),
        (
            DENIER + rule("no.denier", "any.checknothing", match="nonsense == 1"),
            "/spec/match",
            "unknown attribute nonsense",
        ),
        (
            DENIER + rule("no.denier", "any.checknothing", match="source.user"),
            "/spec/match",
            "the expression is STRING, expected BOOL",
        ),
        (
            resource("memquota", "h", {"quotas": []}) + resource("checknothing", "any")
            + rule("h.memquota", "any.checknothing"),
            "/spec/actions/0/instances/0",
            "memquota takes no checknothing",
        ),
        (
            resource("opa", "h") + AUTHORIZATION + rule("h.opa", "a.authorization"),
            "/spec/actions/0",
            "there is nothing like the adapter opa",
        ),
        (
            resource("rbac", "h") + AUTHORIZATION + rule("h.rbac", "a.authorization"),
            "",
            "there is no ServiceRole",
        ),
        (counted(handler=memquota(maxAmount=-1)), "/spec/quotas/0/maxAmount", "-1, expected 0 to"),
        (counted(handler=memquota(validDuration="0s")), "/spec/quotas/0", "without validDuration"),
        (
            counted(handler=memquota(validDuration="-1s")),
            "/spec/quotas/0/validDuration",
            "expected a duration such as 1.5s",
        ),
        (
            counted(handler=memquota(validDuration="400000h")),
            "/spec/actions/0/instances/0",
            "/window: ",
        ),
        (counted(handler=memquota(name="other.quota")), "", "has no quota for the instance calm"),
        (counted(handler=memquota(colour="red")), "/spec/quotas/0/colour", "is not known here"),
        (
            counted(handler=redisquota(rateLimitAlgorithm="LEAKY")),
            "/spec/quotas/0/rateLimitAlgorithm",
            "'LEAKY', expected FIXED_WINDOW or ROLLING_WINDOW",
        ),
        (
            counted(handler=redisquota(rateLimitAlgorithm="ROLLING_WINDOW")),
            "/spec/quotas/0",
            "a rolling window needs a bucketDuration",
        ),
        (
            counted(handler=redisquota(overrides=[{"maxAmount": 3}])),
            "/spec/quotas/0/overrides/0",
            "an override of redisquota needs dimensions",
        ),
        (
            counted(handler=memquota(overrides=[{"dimensions": {"user": "a*"}, **LONG}])),
            "/spec/quotas/0/overrides/0/dimensions/user",
            "a value that ends with * would be one for how it begins",
        ),
        (listed(entryType="TREES"), "/spec/entryType", "'TREES', expected one of STRINGS"),
        (
            listed(providerUrl="https://lists.example/a", overrides=["a"]),
            "",
            "a white list is either fetched or its own",
        ),
        (
            listed(providerUrl="ftp://lists.example/a"),
            "/spec/actions/0/instances/0",
            "the list l-istio-system",
        ),
        (
            counted(spec=SPEC + BINDING.replace("name: s", "name: t")),
            "/spec/quotaSpecs/0",
            "there is no QuotaSpec t of istio-system",
        ),
        (
            counted(spec=SPEC.replace("charge: 1", "charge: 0") + BINDING),
            "/spec/rules/0/quotas/0/charge",
            "0, expected 1 to",
        ),
        (
            counted(spec=SPEC + BINDING.replace("'*'", "a*")),
            "/spec/services/0/service",
            "expected a host, * or *.NAMESPACE.*",
        ),
        (resource("adapter", "a"), "", "adapters out of process are not called"),
        (resource("Deployment", "a"), "", "Deployment is no kind of Mixer's"),
        ("kind: rule\nmetadata: {namespace: a}", "/metadata", "name is required"),
        (
            "apiVersion: v7\nkind: rule\nmetadata: {name: a, namespace: b}",
            "/apiVersion",
            "expected one of",
        ),
        (DENIER + DENIER, "", "there is another no.denier.istio-system before it"),
        (
            resource(
                "rule", "r", {"requestHeaderOperations": [{"name": "a", "values": ["source.user"]}]}
            ),
            "/spec/requestHeaderOperations/0/values/0",
            "the value of a header can only be a literal text",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_refused_at_its_place(text, path, reason):
    refusals = said(imported(text, "mixer"))
    assert (path, True) in [(place, told.startswith(reason)) for place, told in refusals], refusals


def test_the_good_parts_of_a_rule_stay():
    text = DENIER + rule("no.denier", "none", "any.checknothing")
    assert one(imported(text))["kind"] == "deny"
