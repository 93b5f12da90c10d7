"""Istio Mixer's configuration of policy.

Source: istio 1.0 to 1.7, policy/v1beta1 and mixer/v1/config/client
"""

from policy.importing.drafts import Drafts
from policy.importing.mixer.catalogue import Catalogue
from policy.importing.mixer.manifests import note_manifest
from policy.importing.mixer.quotas import note_settings
from policy.importing.mixer.resources import is_list, resource, single
from policy.importing.mixer.resources import is_mixer as is_resource
from policy.importing.mixer.rules import Reader
from policy.importing.mixer.specs import demands
from policy.importing.places import Place, Refused

__all__ = ["is_mixer", "mixer"]


def is_mixer(root: Place) -> bool:
    return is_resource(root) or is_list(root)


def mixer(roots: list[Place]) -> Drafts:
    """All resources are one configuration, wherever they stand."""
    catalogue = Catalogue()
    for root in single(roots):
        try:
            catalogue.add(resource(root))
        except Refused as error:
            error.place.refuse(error.reason)
    for manifest in catalogue.of("attributemanifest"):
        note_manifest(manifest)
    reader = Reader(catalogue, demands(catalogue))
    rules = [draft for rule in catalogue.of("rule") for draft in reader.drafts(rule)]
    for handler in catalogue.used_handlers():
        try:
            note_settings(handler, catalogue.chosen)
        except Refused as error:
            error.place.refuse(error.reason)
    catalogue.note_unused()
    return Drafts(rules, list(reader.lists.values()))
