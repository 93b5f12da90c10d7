"""rbac: ServiceRole and ServiceRoleBinding to authorization rules.

A request passes when a role of its namespace allows it and is bound to its caller. There is a rule
for each service that roles name, and one for all others.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from policy.importing.mixer.catalogue import Catalogue
from policy.importing.mixer.conditions import CLUSTER_DOMAIN, CONFIG_NAMESPACE, joined
from policy.importing.mixer.resources import Instance, Resource
from policy.importing.names import Parts
from policy.importing.places import Place, Refused
from policy.importing.writing import literal, one_of

Document = dict[str, Any]
Entry = dict[str, list[str]]
SERVICE = "destination.service"
NAMESPACE = "destination.namespace"
EXPECTED = {  # of an authorization instance, and what it may be
    "namespace": (NAMESPACE,),
    "service": (SERVICE, "destination.service.host"),
    "method": ("request.method",),
    "path": ("request.path", "request.url_path"),
}
USERS = ("source.user", "source.principal")
PROPERTIES = {
    "source.namespace": "namespaces",
    "source.principal": "principals",
    "source.user": "principals",
}


OR_EMPTY = re.compile(r"""\|\s*(""|'')\s*$""")


class Access(NamedTuple):
    """What one rule of a role allows: to which services, or to all, and what of them."""

    services: tuple[str, ...] | None
    entry: Entry


def authorization_documents(
    catalogue: Catalogue, rule: Resource, instance: Instance, match: str
) -> Iterator[tuple[Parts, Document]]:
    """With what the names end in. Raises Refused."""
    properties = subject_of(instance)
    by_namespace: dict[str, list[tuple[Access, Entry]]] = {}
    everywhere = rule.namespace == CONFIG_NAMESPACE
    for role in catalogue.of("ServiceRole"):
        if not everywhere and role.namespace != rule.namespace:
            continue
        catalogue.used.add(role)
        bound = list(subjects_of(catalogue, role, properties))
        allowed = by_namespace.setdefault(role.namespace, [])
        allowed += [(access, subject) for access in accesses(role) for subject in bound]
    for namespace, allowed in by_namespace.items():
        here = joined(f"{NAMESPACE} == {literal(namespace)}", match)
        services = sorted({name for access, _ in allowed for name in access.services or ()})
        for service in services:
            names = forms(service, namespace)
            passing = [pair for pair in allowed if service in (pair[0].services or (service,))]
            ending = (namespace, service.removesuffix(CLUSTER_DOMAIN))
            yield ending, document(joined(one_of(SERVICE, names), here), passing)
        others = [name for service in services for name in forms(service, namespace)]
        rest = f"!({one_of(SERVICE, others)})" if others else ""
        passing = [pair for pair in allowed if pair[0].services is None]
        yield (namespace,), document(joined(rest, here), passing)
    if not by_namespace:
        raise Refused(instance.root, "there is no ServiceRole for it in what is imported")
    if everywhere:
        elsewhere = f"!({one_of(NAMESPACE, list(by_namespace))})"
        yield ("elsewhere",), document(joined(elsewhere, match), [])


def document(match: str, allowed: list[tuple[Access, Entry]]) -> Document:
    entries = [{**subject, **access.entry} for access, subject in allowed]
    return {"kind": "authorization", "match": match, "allow": unique(entries)}


def unique(entries: list[Entry]) -> list[Entry]:
    return [entry for index, entry in enumerate(entries) if entry not in entries[:index]]


def forms(service: str, namespace: str) -> list[str]:
    """As Istio tells a service, and as Envoy's protocols do."""
    short = service.removesuffix(CLUSTER_DOMAIN)
    short = short if "." in short else f"{short}.{namespace}"
    return [short, short + CLUSTER_DOMAIN]


def subject_of(instance: Instance) -> Mapping[str, str]:
    """The instance's properties of the caller, by what they mean here.

    Raises Refused for an instance that looks at something else.
    """
    if instance.params is None:
        raise Refused(instance.root, "an authorization needs a subject and an action")
    action = instance.params.need("action")
    for key, known in EXPECTED.items():
        place = action.need(key)
        if bare(place.text()) not in known:
            raise Refused(place, f"expected {' or '.join(known)}")
    subject = instance.params.need("subject")
    user = subject.need("user")
    if bare(user.text()) not in USERS:
        raise Refused(user, f"expected {' or '.join(USERS)}")
    properties = subject.get("properties")
    found: dict[str, str] = {}
    for key, place in properties.entries().items() if properties else ():
        meaning = PROPERTIES.get(bare(place.text()))
        if meaning:
            found[key] = meaning
        else:
            place.ignore("roles can ask for source.namespace and source.principal only")
    return found


def bare(expression: str) -> str:
    """Without the empty text that stands for an absent attribute."""
    return OR_EMPTY.sub("", expression).strip()


def accesses(role: Resource) -> Iterator[Access]:
    """What cannot be said is noted, and not allowed."""
    try:
        rules = role.need_spec().need("rules").items()
    except Refused as error:
        error.place.refuse(error.reason)
        return
    for rule in rules:
        try:
            if rule.get("constraints"):
                raise Refused(rule, "constraints cannot be imported: the rule lets nobody")
            services = [service.text() for service in rule.need("services").items()]
            if partial := [name for name in services if "*" in name and name != "*"]:
                raise Refused(rule, f"of services only names and * are imported, not {partial[0]}")
            entry = {
                key: texts
                for key in ("methods", "paths")
                if (place := rule.get(key)) and (texts := patterns(place))
            }
            yield Access(None if "*" in services else tuple(services), entry)
        except Refused as error:
            error.place.refuse(error.reason)


def patterns(place: Place) -> list[str]:
    """Empty for any."""
    texts = [item.text() for item in place.items()]
    return [] if "*" in texts else texts


def subjects_of(
    catalogue: Catalogue, role: Resource, properties: Mapping[str, str]
) -> Iterator[Entry]:
    """Who is bound to the role; what cannot be said is noted, and not allowed."""
    for binding in catalogue.of("ServiceRoleBinding"):
        if binding.namespace != role.namespace or binding.spec is None:
            continue
        reference = binding.spec.get("roleRef", "role_ref")
        if reference is None or reference.need("name").text() != role.name:
            continue
        catalogue.used.add(binding)
        mode = binding.spec.get("mode")
        if mode and mode.text() != "ENFORCED":
            mode.refuse("only ENFORCED can be imported; what the binding lets is refused")
            continue
        kind = reference.get("kind")
        if kind and kind.text() != "ServiceRole":
            kind.refuse("expected ServiceRole; what the binding lets is refused")
            continue
        for subject in binding.spec.need("subjects").items():
            try:
                yield subject_entry(subject, properties)
            except Refused as error:
                error.place.refuse(error.reason)


def subject_entry(subject: Place, properties: Mapping[str, str]) -> Entry:
    """Raises Refused."""
    entry: Entry = {}
    user = subject.get("user")
    if user and user.text() != "*":
        entry["principals"] = [user.text()]
    asked = subject.get("properties")
    for key, place in asked.entries().items() if asked else ():
        if key not in properties:
            raise Refused(place, f"the authorization instance has no property {key} that is known")
        text = [place.text()]
        if entry.setdefault(properties[key], text) != text:
            raise Refused(place, "asks for two callers at once")
    for key in ("group", "groups", "names", "notNames"):
        if found := subject.get(key):
            raise Refused(found, "groups and lists of names cannot be imported")
    return entry
