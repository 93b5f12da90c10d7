"""The descriptors of Envoy's rate limits as attribute bags: the same for those it asks about and
those it counts by itself."""

from collections.abc import Mapping, Sequence

from collector.frontends.decisions import destination_service, namespace_of
from policy.attributes import VOCABULARY, AttributeBag, Value, ValueType, ratelimit_keys


def descriptor_bag(
    domain: str, entries: Sequence[tuple[str, str]], metadata: Mapping[str, str]
) -> AttributeBag:
    """An entry whose key is the name of a string attribute sets that attribute too.

    Of a key that comes twice the last value counts. The destination is the sidecar that sent the
    metadata, unless an entry says another.
    """
    by_key = dict(entries)
    values: dict[str, Value] = {
        name: value for name, value in by_key.items() if VOCABULARY.get(name) is ValueType.STRING
    }
    values["ratelimit.domain"] = domain
    values["ratelimit.descriptor"] = by_key
    values["ratelimit.keys"] = ratelimit_keys(key for key, _ in entries)
    values["ratelimit.values"] = {
        str(number): value for number, (_, value) in enumerate(entries, start=1)
    }
    if "destination.service" not in values:
        service = destination_service(metadata)
        if service:
            values["destination.service"] = service
    namespace = namespace_of(str(values.get("destination.service", "")))
    if namespace:
        values.setdefault("destination.namespace", namespace)
    return AttributeBag(values)
