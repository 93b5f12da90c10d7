"""A rule of Mixer's to rules: its match, and for each action what its handler does.

Mixer drops the bad parts of a rule and keeps the good ones; so does the import, and notes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from policy.importing.drafts import Draft
from policy.importing.mixer.catalogue import Catalogue
from policy.importing.mixer.conditions import either, in_namespace, joined, match_of
from policy.importing.mixer.gates import (
    deny_document,
    list_document,
    list_documents,
    list_name,
    note_caching,
)
from policy.importing.mixer.headers import headers_document
from policy.importing.mixer.quotas import TOO_MANY, quota_document
from policy.importing.mixer.resources import (
    TELEMETRY_ADAPTERS,
    TELEMETRY_TEMPLATES,
    Handler,
    Instance,
    Resource,
)
from policy.importing.mixer.roles import authorization_documents
from policy.importing.mixer.specs import Demand, Demands
from policy.importing.names import Parts
from policy.importing.places import Place, Refused

Document = dict[str, Any]
TAKES = {
    "denier": {"checknothing", "listentry", "quota"},
    "listchecker": {"listentry"},
    "memquota": {"quota"},
    "redisquota": {"quota"},
    "rbac": {"authorization"},
}
DOES_NOTHING = {"noop", "bypass"}


class Found(NamedTuple):
    """One rule to be, the end of its name, and what it was made of."""

    place: Place
    ending: Parts
    document: Document


@dataclass(slots=True)
class Reader:
    """What reading one rule needs of the others."""

    catalogue: Catalogue
    demands: Demands
    lists: dict[Handler, Draft] = field(default_factory=dict)  # that rules ask
    counted: dict[tuple[Handler, Instance], Resource] = field(default_factory=dict)

    def drafts(self, rule: Resource) -> list[Draft]:
        try:
            found = list(self.rule(rule))
        except Refused as error:
            error.place.refuse(error.reason)
            return []
        description = f"mixer: rule {rule.name} of {rule.namespace}"
        name = rule.name, rule.namespace
        return [
            Draft(
                each.place,
                name if len(found) == 1 else (*name, *each.ending),
                {"description": description, **each.document},
            )
            for each in found
        ]

    def rule(self, rule: Resource) -> Iterator[Found]:
        """Raises Refused."""
        spec = rule.need_spec()
        match = joined(in_namespace(rule.namespace), match_of(spec.get("match")))
        sampling = spec.get("sampling")
        if sampling:
            sampling.ignore("is of telemetry")
        actions = spec.get("actions")
        for action in actions.items() if actions else ():
            try:
                yield from self.action(rule, action, match)
            except Refused as error:
                error.place.refuse(error.reason)
        headers = headers_document(spec, match)
        if headers:
            yield Found(rule.root, ("headers",), headers)

    def action(self, rule: Resource, action: Place, match: str) -> Iterator[Found]:
        """Raises Refused."""
        name = action.get("name")
        if name:
            name.ignore("only names the action")
        reference = action.need("handler")
        handler = self.catalogue.handler(reference, rule.namespace)
        if handler.adapter in TELEMETRY_ADAPTERS:
            action.ignore("is telemetry")
            return
        if handler.adapter == "kubernetesenv":
            action.changed(
                "attributes of pods and workloads are those that protocols tell; a rule that needs"
                " another one never matches",
                whole=True,
            )
            return
        if handler.adapter in DOES_NOTHING:
            action.ignore(f"{handler.adapter} decides nothing")
            return
        if handler.adapter not in TAKES:
            raise Refused(action, f"there is nothing like the adapter {handler.adapter}")
        self.catalogue.used.add(handler)
        note_caching(handler)
        for place in action.need("instances").items():
            try:
                instance = self.catalogue.instance(place, rule.namespace)
                if instance.template in TELEMETRY_TEMPLATES:
                    place.ignore("is telemetry")
                elif instance.template not in TAKES[handler.adapter]:
                    raise Refused(place, f"{handler.adapter} takes no {instance.template}")
                else:
                    yield from self.pair(rule, place, handler, instance, match)
            except Refused as error:
                error.place.refuse(error.reason)

    def pair(
        self, rule: Resource, place: Place, handler: Handler, instance: Instance, match: str
    ) -> Iterator[Found]:
        """Raises Refused."""
        self.catalogue.used.add(instance)
        ending = handler.name, instance.name
        if instance.template == "quota":
            yield Found(place, ending, self.quota(rule, place, handler, instance, match))
        elif handler.adapter == "denier":
            denial = deny_document(handler)
            note_unlooked(instance)
            if denial is None:
                place.ignore("its status is OK, so it denies nothing")
            else:
                yield Found(place, ending, denial | {"match": match})
        elif handler.adapter == "listchecker":
            documents = list_documents(handler, instance)
            if fetched := list_document(handler):
                self.lists[handler] = Draft(handler.root, list_name(handler), fetched)
            for more, document in documents:
                yield Found(place, (*ending, *more), document | {"match": match})
        else:
            for more, document in authorization_documents(self.catalogue, rule, instance, match):
                yield Found(place, (*ending, *more), document)

    def quota(
        self, rule: Resource, place: Place, handler: Handler, instance: Instance, match: str
    ) -> Document:
        """Raises Refused."""
        if handler.adapter == "denier":
            note_unlooked(instance)
            document: Document = {"kind": "deny", "http_status": TOO_MANY}
        else:
            document = quota_document(self.catalogue, handler, instance)
            first = self.counted.setdefault((handler, instance), rule)
            if first is not rule:
                place.changed(f"counts apart from the rule {first.name}; in Mixer both are one")
        asked = self.demands.by_quota.get(instance.name.lower(), [])
        if asked:
            document["match"] = joined(match, either([demand.condition for demand in asked]))
            if document["kind"] == "quota":
                document["cost"] = cost_of(asked)
            return document
        document["match"] = match
        if self.demands.known:
            document["mode"] = "disabled"
            place.changed("no QuotaSpec that is bound charges it, so it is disabled")
        else:
            place.changed("no QuotaSpec is imported that says who is charged: every request is")
        return document


def note_unlooked(instance: Instance) -> None:
    if instance.params:
        instance.params.ignore("a denier looks at nothing of the request")


def cost_of(asked: list[Demand]) -> str:
    """Of several that apply the last one counts, as proxies have it."""
    if {demand.charge for demand in asked} == {1}:
        return ""
    cost = str(asked[0].charge)
    for demand in asked[1:]:
        if demand.condition == "":
            cost = str(demand.charge)
        elif str(demand.charge) != cost:
            cost = f"conditional({demand.condition}, {demand.charge}, {cost})"
    return cost
