"""memquota and redisquota: an instance's dimensions and a handler's limits to a quota.

memquota counts in a rolling window of ticks of a tenth of a second, over whole seconds; redisquota
in fixed windows, or in a rolling one of buckets.
"""

from collections.abc import Mapping
from typing import Any

from policy.attributes import duration
from policy.expression import compile_expression
from policy.importing.mixer.catalogue import Catalogue
from policy.importing.mixer.conditions import expression_of
from policy.importing.mixer.overrides import Choice, Dimension, choices
from policy.importing.mixer.resources import Handler, Instance
from policy.importing.names import labels
from policy.importing.places import Key, Place, Refused
from policy.quota.rolling_window import MAX_TICKS, MIXER_TICK_US

ADAPTERS = ("memquota", "redisquota")
TOO_MANY = 429
MAX_AMOUNT = 10**15
SECOND_US = 1_000_000
ROLLING = {"FIXED_WINDOW": False, "0": False, "ROLLING_WINDOW": True, "1": True}

Document = dict[str, Any]


def quota_document(catalogue: Catalogue, handler: Handler, instance: Instance) -> Document:
    """Without a match and a cost. Raises Refused."""
    dimensions = dimensions_of(instance)
    limit = limit_of(catalogue, handler, instance)
    overrides = limit.get("overrides")
    found = choices(overrides.items() if overrides else (), dimensions)
    amount = amount_of(limit)
    counting = counting_of(handler, limit, dimensions)
    if found and not found[-1].when:
        instead = found.pop().place
        if handler.adapter == "redisquota":
            raise Refused(instead, "an override of redisquota needs dimensions")
        amount, counting = amount_of(instead), counting_of(handler, instead, dimensions)
    if amount == 0:
        if found:
            raise Refused(limit, "a limit of 0 cannot have overrides")
        return {"kind": "deny", "http_status": TOO_MANY}
    names = labels((f"{number:03}", *choice.when.values()) for number, choice in enumerate(found))
    return {
        "kind": "quota",
        "limit": amount,
        **counting,
        "dimensions": list(dict.fromkeys(found.expression for found in dimensions.values())),
        "overrides": [
            {"name": name, "when": dict(choice.when), **overridden(handler, choice, counting)}
            for name, choice in zip(names.values(), found, strict=True)
        ],
    }


def dimensions_of(instance: Instance) -> dict[str, Dimension]:
    """By name. Raises Refused."""
    found = instance.params.get("dimensions") if instance.params else None
    places = found.entries() if found else {}
    texts = {name: expression_of(places[name]) for name in sorted(places)}
    return {name: Dimension(text, compile_expression(text).type) for name, text in texts.items()}


def limit_of(catalogue: Catalogue, handler: Handler, instance: Instance) -> Place:
    """The handler's limit for this instance. Raises Refused."""
    if handler.params is None:
        raise Refused(handler.root, "a handler of quotas needs quotas")
    for limit in handler.params.need("quotas").items():
        name = limit.need("name")
        if catalogue.find(name.text(), "instance", handler.namespace) is instance:
            catalogue.chosen.add(limit.key)
            return limit
    reason = f"has no quota for the instance {instance.name}, so Mixer drops all of its rules"
    raise Refused(handler.root, reason)


def amount_of(place: Place) -> int:
    return place.need("maxAmount", "max_amount").whole(0, MAX_AMOUNT)


def overridden(handler: Handler, choice: Choice, counting: Document) -> Document:
    """Raises Refused."""
    amount = amount_of(choice.place)
    if amount == 0:
        raise Refused(choice.place, "an override cannot have a limit of 0")
    if handler.adapter == "redisquota":
        return {"limit": amount, **counting}
    return {"limit": amount, **memquota_window(choice.place)}


def counting_of(handler: Handler, limit: Place, dimensions: Mapping[str, Dimension]) -> Document:
    """Window, algorithm and tick. Raises Refused."""
    if handler.adapter == "memquota":
        return memquota_window(limit)
    if dimensions:
        limit.changed(
            "counts each combination of dimensions apart, as redisquota of 1.3 does; that of 1.0"
            " counts all callers together"
        )
    return redisquota_window(limit)


def memquota_window(limit: Place) -> Document:
    valid_us = microseconds(limit, "validDuration", "valid_duration")
    if not valid_us:
        raise Refused(limit, "without validDuration it would count for ever")
    window_us = -(-valid_us // SECOND_US) * SECOND_US
    return rolling(limit, window_us, MIXER_TICK_US)


def redisquota_window(limit: Place) -> Document:
    window_us = microseconds(limit, "validDuration", "valid_duration")
    if not window_us:
        raise Refused(limit, "redisquota needs validDuration")
    algorithm = limit.get("rateLimitAlgorithm", "rate_limit_algorithm")
    text = algorithm.text() if algorithm else "FIXED_WINDOW"
    if text not in ROLLING:
        raise Refused(algorithm or limit, f"{text!r}, expected FIXED_WINDOW or ROLLING_WINDOW")
    if not ROLLING[text]:
        bucket = limit.get("bucketDuration", "bucket_duration")
        if bucket:
            bucket.ignore("has no effect on a fixed window")
        limit.changed(
            "windows begin at multiples of their length since 1970; redisquota's with the first use"
        )
        return {"window": window_us / SECOND_US, "algorithm": "fixed-window"}
    bucket_us = microseconds(limit, "bucketDuration", "bucket_duration")
    if not 0 < bucket_us < window_us:
        raise Refused(limit, "a rolling window needs a bucketDuration shorter than validDuration")
    return rolling(limit, window_us, bucket_us)


def rolling(limit: Place, window_us: int, tick_us: int) -> Document:
    coarse_us = -(-window_us // MAX_TICKS)
    if coarse_us > tick_us:
        coarse_us = -(-coarse_us // MIXER_TICK_US) * MIXER_TICK_US
        limit.changed(
            f"counts in ticks of {coarse_us / SECOND_US:g} s, not of {tick_us / SECOND_US:g} s:"
            f" a window has at most {MAX_TICKS}"
        )
        tick_us = coarse_us
    return {
        "window": window_us / SECOND_US,
        "algorithm": "rolling-window",
        "tick": tick_us / SECOND_US,
    }


def microseconds(limit: Place, *keys: str) -> int:
    """0 when it is not there. Raises Refused."""
    place = limit.get(*keys)
    if place is None:
        return 0
    length = duration(place.text())
    if length is None or length.total_seconds() < 0:
        raise Refused(place, f"expected a duration such as 1.5s, found {place.text()!r}")
    return round(length.total_seconds() * SECOND_US)


def note_settings(handler: Handler, chosen: set[Key]) -> None:
    """Of a handler of quotas: what is set elsewhere here, and limits that nobody uses."""
    params = handler.params
    if params is None or handler.adapter not in ADAPTERS:
        return
    dedup = params.get("minDeduplicationDuration", "min_deduplication_duration")
    if dedup:
        dedup.changed("the id of a charge is remembered for a minute")
    url = params.get("redisServerUrl", "redis_server_url")
    size = params.get("connectionPoolSize", "connection_pool_size")
    for setting in filter(None, (url, size)):
        setting.ignore("counters are where the collectors' settings say")
    quotas = params.get("quotas")
    for limit in quotas.items() if quotas else ():
        if limit.key not in chosen:
            limit.ignore("no rule that is imported uses it")
