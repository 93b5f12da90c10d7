"""Foreign names to names of rules, which are DNS labels.

A-Z become a-z, whatever else is no letter or digit of ASCII becomes -. Where that would make two
names one, or drops a letter of another script (which may look like one of ASCII's), or is too
long, a digest of the whole name follows. The same name has the same label in every import that
has the same names beside it.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable

MAX_LENGTH = 63
DIGEST = 8
OTHER = re.compile(r"[^a-z0-9]+")

Parts = tuple[str, ...]  # a name that is one of its parts in order, such as a path


def labels(
    names: Iterable[Parts], reserved: Collection[str] = (), room: int = MAX_LENGTH
) -> dict[Parts, str]:
    """A label of at most `room` characters for each name, no two alike and none `reserved`."""
    unique = list(dict.fromkeys(names))
    times = Counter([*map(folded, unique), *reserved])
    found: dict[Parts, str] = {}
    taken = set(reserved)
    for digested in (False, True):  # those that stay plain first
        for name in unique:
            plain = folded(name)
            ascii_only = all(part.isascii() for part in name)
            clear = times[plain] == 1 and ascii_only and 0 < len(plain) <= room
            if clear is not digested:
                found[name] = plain if clear else with_digest(plain, name, room, taken)
                taken.add(found[name])
    return found


def folded(name: Parts) -> str:
    return OTHER.sub("-", "-".join(map(ascii_lower, name))).strip("-")


def ascii_lower(text: str) -> str:
    """Not str.lower, which makes a k of the Kelvin sign."""
    return "".join(character.lower() if character.isascii() else "-" for character in text)


def with_digest(plain: str, name: Parts, room: int, taken: Collection[str]) -> str:
    raw = [part.encode(errors="surrogatepass") for part in name]
    whole = b"".join(len(part).to_bytes(8, "big") + part for part in raw)
    digest = hashlib.sha256(whole).hexdigest()
    for length in range(DIGEST, len(digest)):
        head = plain[: max(room - length - 1, 0)].strip("-")
        label = f"{head}-{digest[:length]}" if head else digest[: min(length, room)]
        if label not in taken:
            return label
    raise AssertionError("two names with one digest")
