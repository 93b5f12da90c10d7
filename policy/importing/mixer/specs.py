"""QuotaSpec and QuotaSpecBinding: which requests are charged which quota, and how much.

Conditions are written so that an absent attribute makes them false, not the whole match.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import re2

from policy.attributes import VOCABULARY, ValueType
from policy.errors import InvalidRule
from policy.expression import compile_match
from policy.importing.mixer.catalogue import Catalogue
from policy.importing.mixer.conditions import CLUSTER_DOMAIN, either, joined
from policy.importing.mixer.resources import Resource
from policy.importing.places import Place, Refused
from policy.importing.writing import literal, one_of, regex_literal

SERVICE = '(destination.service | "")'
MAX_CHARGE = 10**15


class Demand(NamedTuple):
    """A quota is charged so much where the condition is true; "" is always."""

    condition: str
    charge: int


class Demands(NamedTuple):
    """By the quota's name in lower case, in the order in which proxies see them."""

    by_quota: dict[str, list[Demand]]
    known: bool  # there are specs at all


def demands(catalogue: Catalogue) -> Demands:
    """Specs that are bound to nothing are noted."""
    specs = {(spec.name, spec.namespace): spec for spec in catalogue.of("QuotaSpec")}
    read: dict[Resource, list[tuple[str, Demand]]] = {
        spec: list(spec_demands(spec)) for spec in specs.values()
    }
    found: dict[str, list[Demand]] = {}
    bound: set[Resource] = set()
    for binding in catalogue.of("QuotaSpecBinding"):
        try:
            services = services_of(binding)
            for spec in specs_of(binding, specs):
                bound.add(spec)
                for quota, demand in read[spec]:
                    condition = joined(services, demand.condition)
                    found.setdefault(quota, []).append(demand._replace(condition=condition))
        except Refused as error:
            error.place.refuse(error.reason)
    for spec in specs.values():
        if spec not in bound:
            spec.root.ignore("no QuotaSpecBinding binds it, so it charges nothing")
    return Demands(found, bool(specs))


def spec_demands(spec: Resource) -> Iterator[tuple[str, Demand]]:
    try:
        rules = spec.need_spec().need("rules").items()
    except Refused as error:
        error.place.refuse(error.reason)
        return
    for rule in rules:
        try:
            matches = rule.get("match")
            conditions = [clause_of(match) for match in matches.items()] if matches else [""]
            condition = either(conditions)
            for quota in rule.need("quotas").items():
                name = quota.need("quota").text().lower()
                yield name, Demand(condition, charge_of(quota))
        except Refused as error:
            error.place.refuse(error.reason)


def charge_of(quota: Place) -> int:
    charge = quota.get("charge")
    if charge is None:
        quota.changed("has no charge: taken for 1")
        return 1
    return charge.whole(1, MAX_CHARGE)


def clause_of(match: Place) -> str:
    clause = match.get("clause")
    terms = [term_of(name, place) for name, place in clause.entries().items()] if clause else []
    return joined(*terms)


def term_of(attribute: str, place: Place) -> str:
    """Raises Refused."""
    if VOCABULARY.get(attribute) is not ValueType.STRING:
        raise Refused(place, f"{attribute} is no attribute of type STRING")
    value = f'({attribute} | "")'
    for kind, found in place.entries().items():
        text = found.text()
        match kind:
            case _ if not text:
                return ""
            case "exact":
                return f"{value} == {literal(text)}"
            case "prefix":
                return f"{value}.startsWith({literal(text)})"
            case "regex":
                return regex_term(value, text, found)
        raise Refused(found, "expected exact, prefix or regex")
    return ""


def regex_term(value: str, pattern: str, place: Place) -> str:
    """Of a text that is there; the whole of it must fit."""
    term = f"{value}.matches({literal(f'^(?:{pattern})$')})"
    try:
        compile_match(term)
    except InvalidRule as error:
        raise Refused(place, error.reason) from error
    place.changed("is an expression of RE2 here; ECMAScript's differ in rare cases")
    return f'{value} != "" && {term}' if re2.fullmatch(pattern, "") else term


def services_of(binding: Resource) -> str:
    """ "" for all. Raises Refused."""
    exact: list[str] = []
    others: list[str] = []
    for service in binding.need_spec().need("services").items():
        names, condition = service_of(service, binding.namespace)
        exact += names
        others += [condition] if condition is not None else []
    listed = [one_of(SERVICE, list(dict.fromkeys(exact)))] if exact else []
    return either([*listed, *others])


def service_of(place: Place, namespace: str) -> tuple[Sequence[str], str | None]:
    """Names it may have, or else a condition. Raises Refused."""
    host = place.get("service")
    if host is not None:
        return host_of(host)
    name = place.need("name").text()
    given = place.get("namespace")
    domain = place.get("domain")
    short = f"{name}.{given.text() if given else namespace}"
    return (short, f"{short}.{domain.text() if domain else CLUSTER_DOMAIN[1:]}"), None


def host_of(place: Place) -> tuple[Sequence[str], str | None]:
    host = place.text()
    if host == "*":
        return (), ""
    namespace = host.removeprefix("*.").removesuffix(".*")
    if host == f"*.{namespace}.*" and "*" not in namespace:
        return (), f"{SERVICE}.matches({literal(f'[.]{regex_literal(namespace)}([.]|$)')})"
    if "*" in host:
        raise Refused(place, "expected a host, * or *.NAMESPACE.*")
    short = host.removesuffix(CLUSTER_DOMAIN)
    return (host,) if short == host else (short, host), None


def specs_of(binding: Resource, specs: dict[tuple[str, str], Resource]) -> Iterator[Resource]:
    for reference in binding.need_spec().need("quotaSpecs", "quota_specs").items():
        name = reference.need("name").text()
        given = reference.get("namespace")
        key = name, given.text() if given else binding.namespace
        if key in specs:
            yield specs[key]
        else:
            reference.refuse(f"there is no QuotaSpec {name} of {key[1]} in what is imported")
