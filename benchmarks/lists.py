"""What asking a list costs: CPU nanoseconds a value by type and length, and compiling it.

Values are of a thousand different texts, half of them on the list.

python -m benchmarks.lists
"""

import random
import time
from collections.abc import Callable

from policy.lists import EntryList, EntryType, compile_entries

LENGTHS, VALUES, ROUNDS = (1, 1_000, 100_000), 1_000, 5
DICE = random.Random(7)


def word() -> str:
    return f"{DICE.getrandbits(40):010x}"


def address() -> str:
    return ".".join(str(byte) for byte in DICE.randbytes(4))


def network() -> str:
    return f"{address()}/{DICE.choice((16, 20, 22, 24, 24, 28, 32))}"


# What an entry is, and a value that is on the list by it.
Made = tuple[Callable[[], str], Callable[[str], str]]
KINDS: dict[str, tuple[EntryType, bool, Made]] = {
    "literal": (EntryType.LITERAL, False, (word, lambda entry: entry)),
    "literal, any case": (EntryType.LITERAL, True, (word, str.upper)),
    "prefix": (EntryType.PREFIX, False, (lambda: f"/{word()}/", lambda entry: f"{entry}cart/7")),
    "regex, anchored": (
        EntryType.REGEX,
        False,
        (lambda: f"^/{word()}/[0-9]+$", lambda entry: f"{entry[1:12]}/7"),
    ),
    "regex": (EntryType.REGEX, False, (lambda: f"{word()}-bot", lambda entry: f"a {entry}/1.0")),
    "cidr": (EntryType.CIDR, False, (network, lambda entry: entry.partition("/")[0])),
}


def asking_ns(entries: EntryList, values: list[str]) -> float:
    matches = entries.matches
    began = time.process_time_ns()
    for value in values:
        matches(value)
    return (time.process_time_ns() - began) / len(values)


def main() -> None:
    print(f"{'':<20}{'entries':>8}{'ns a value':>12}{'ns the first time':>19}{'ms to compile':>15}")
    for name, (kind, fold, (make, on_by)) in KINDS.items():
        for length in LENGTHS:
            texts = [make() for _ in range(length)]
            began = time.process_time()
            entries = compile_entries(texts, kind, case_insensitive=fold)
            compile_ms = (time.process_time() - began) * 1e3
            chosen = [DICE.choice(texts) for _ in range(VALUES // 2)]
            values = [on_by(text) for text in chosen]
            assert all(entries.matches(value) for value in values[:20])
            values += [on_by(make()) for _ in range(VALUES - len(values))]
            DICE.shuffle(values)
            first = asking_ns(entries, values)
            best = min(asking_ns(entries, values) for _ in range(ROUNDS))
            print(f"{name:<20}{length:>8}{best:>12.0f}{first:>19.0f}{compile_ms:>15.1f}")


if __name__ == "__main__":
    main()
