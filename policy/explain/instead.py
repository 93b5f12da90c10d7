"""What sampled requests had in place of what a rule wants, the nearest first."""

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from policy.attributes import text_of
from policy.explain.sampled import Sampled
from policy.expression import Reference, found_in, shown
from policy.expression.reading import near
from policy.expression.why import Term

MAX_TOLD = 5
MAX_SHOWN = 100  # characters of a value
MAX_COMPARED = 256  # names, or values: those that were seen most
MAX_WANTED = 16  # literals of a term that values are compared with


class Instead(NamedTuple):
    """A value, or a name, and of how many sampled requests."""

    text: str
    requests: int


def always_absent(reads: Sequence[Reference], samples: Sequence[Sampled]) -> list[Reference]:
    """What none of them has; of a map that none has, not its entries."""
    missing = [read for read in reads if not any(each.has(read) for each in samples)]
    maps = {name for name, _ in missing if not any(each.has((name, None)) for each in samples)}
    return list(dict.fromkeys((name, None if name in maps else key) for name, key in missing))


def names_near(missing: Reference, samples: Sequence[Sampled]) -> tuple[Instead, ...]:
    """Names that were there and are written nearly so."""
    names = Counter(name for each in samples for name in each.names)
    entries: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for each in samples:
        for name, found in each.names.items():
            if found is not None:
                entries[name].update(found)
    together = {
        name: dict(entries[name].most_common(MAX_COMPARED)) if name in entries else None
        for name in names
    }
    return tuple(
        Instead(shown((name, key)), names[name] if key is None else entries[name][key])
        for name, key in near(missing, together)
    )


def values_instead(term: Term, samples: Sequence[Sampled]) -> tuple[Instead, ...]:
    """What the term read, those most like its literals first."""
    counted: Counter[str] = Counter()
    for each in samples:
        counted.update(set(read_by(term, each)))
    return nearest(term.texts, counted)


def read_by(term: Term, sampled: Sampled) -> Iterator[str]:
    for reference in term.reads:
        value = found_in(sampled.values, reference)
        if value is not None:
            text = text_of(value)
            yield text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def nearest(wanted: Sequence[str], counted: Counter[str]) -> tuple[Instead, ...]:
    """What is written most like one of the wanted texts, then what was seen most."""

    def order(text: str) -> tuple[float, int, str]:
        alike = max((likeness(each, text) for each in wanted[:MAX_WANTED]), default=0.0)
        return -alike, -counted[text], text

    compared = [text for text, _ in counted.most_common(MAX_COMPARED)]
    return tuple(Instead(text, counted[text]) for text in sorted(compared, key=order)[:MAX_TOLD])


def likeness(wanted: str, text: str) -> float:
    """1 where one holds the other: a name without its namespace is the usual mistake."""
    if wanted and text and (wanted in text or text in wanted):
        return 1.0
    return difflib.SequenceMatcher(None, wanted, text, autojunk=False).ratio()


def listed(found: Sequence[Instead]) -> str:
    return ", ".join(f'"{each.text}" ({each.requests})' for each in found)
