"""Where ratelimit's joined texts make an entry fit a descriptor of another key.

ratelimit compares `key_value`, so the entry user=agent_x fits a descriptor of the key user_agent
and the value x. Rules compare keys and values.
"""

from bisect import bisect_left

from policy.importing.ratelimit.tree import Level


def note_collisions(level: Level) -> None:
    keys = sorted(level.by_key)
    for beside in level.by_key.values():
        for descriptor in beside:
            for key in caught_keys(descriptor.key, descriptor.text, keys):
                descriptor.place.changed(
                    f"ratelimit takes some entries of the key {key} for this descriptor, since it"
                    f" compares the joined text {descriptor.text}; here it has its own key only"
                )


def caught_keys(own: str, text: str, keys: list[str]) -> list[str]:
    """Those of `keys`, which are sorted, with which a `key_value` can be this text."""
    begins = text.partition("*")[0]
    known = {begins[:at] for at in range(len(begins)) if begins[at] == "_"}
    found = [key for key in sorted(known) if key != own and in_sorted(keys, key)]
    if len(begins) < len(text):  # a wildcard: also longer keys
        at = bisect_left(keys, begins)
        while at < len(keys) and keys[at].startswith(begins):
            if keys[at] != own:
                found.append(keys[at])
            at += 1
        if begins.endswith("_") and begins[:-1] != own and in_sorted(keys, begins[:-1]):
            found.append(begins[:-1])
    return list(dict.fromkeys(found))


def in_sorted(keys: list[str], key: str) -> bool:
    at = bisect_left(keys, key)
    return at < len(keys) and keys[at] == key
