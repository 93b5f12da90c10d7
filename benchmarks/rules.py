"""What rules cost a check: nanoseconds of an expression and in the engine, and how much of that is
counting and sampling for the status of rules.

python -m benchmarks.rules
"""

import json
import time
from collections.abc import Callable, Mapping
from itertools import pairwise

from collector.status.bag_sample import LOOKS, BagSample
from policy.attributes import AttributeBag, Value
from policy.engine import Engine
from policy.explain.sampled import references_of
from policy.expression import compile_match
from policy.importing import Source, import_sources
from policy.index import lookups_of
from policy.quota.memory import MemoryCounters
from policy.rules import AnyRule, rule_from_json
from policy.snapshot import Snapshot, candidates, compile_snapshot

CHECKS, ROUNDS = 100_000, 5
TREE_KEYS = ("tenant", *(f"kind{number}" for number in range(9)))
BAG = AttributeBag(
    {
        "source.service": "web.default",
        "destination.service": "s5.default",
        "request.method": "GET",
        "request.path": "/cart/7",
        "request.headers": {"x-user": "ann"},
        "source.ip": b"\x0a\x01\x02\x03",
    }
)
EXPRESSIONS = (
    'source.service == "web.default"',
    'source.service == "web.default" && request.method == "GET" && request.path.endsWith("/7")',
    'request.headers["x-user"] | "nobody" == "ann"',
    'request.method in ["GET", "HEAD", "OPTIONS"]',
    'match(request.path, "/cart/*")',
    'request.path.matches("^/cart/[0-9]+$")',
    'source.service + "/" + request.method == "web.default/GET"',
    'source.ip == ip("10.1.2.3")',
    'dnsName(source.service) == dnsName("Web.Default.")',
    'email("ann@" + source.service) == email("ann@web.default")',
    'uri(request.path) == uri("/cart/7")',
)


def rule(number: int) -> AnyRule:
    match = (
        f'destination.service == "s{number}.default" && source.service == "other.default"'
        ' && request.path.startsWith("/cart")'
    )
    return rule_from_json(
        {"kind": "quota", "name": f"q{number}", "match": match, "limit": 100, "window": 1}
    )


def expression_table() -> None:
    print(f"{'ns':>6}{'µs to compile':>15}")
    for text in EXPRESSIONS:
        compile_us = min(compiling_us(text) for _ in range(ROUNDS))
        test = compile_match(text).test
        assert test(BAG.values)
        best = min(evaluation_ns(test) for _ in range(ROUNDS))
        print(f"{best:>6.0f}{compile_us:>15.0f}  {text}")


def compiling_us(text: str) -> float:
    compile_match.cache_clear()
    began = time.process_time_ns()
    compile_match(text)
    return (time.process_time_ns() - began) / 1e3


def evaluation_ns(test: Callable[[Mapping[str, Value]], bool]) -> float:
    values = BAG.values
    began = time.process_time_ns()
    for _ in range(CHECKS):
        test(values)
    return (time.process_time_ns() - began) / CHECKS


def engine_table() -> None:
    print(f"{'rules':>7}{'ns/check':>10}{'µs/rule to compile':>20}")
    for count in (0, 100, 10_000):
        began = time.process_time()
        rules = [rule(number) for number in range(count)]
        snapshot = compile_snapshot(rules, 1)
        compile_us = (time.process_time() - began) * 1e6 / max(count, 1)
        engine = Engine(MemoryCounters(), snapshot)
        best = min(round_ns(engine) for _ in range(ROUNDS))
        print(f"{count:>7}{best:>10.0f}{compile_us:>20.0f}")


def round_ns(engine: Engine, bag: AttributeBag = BAG, checks: int = CHECKS) -> float:
    began = time.process_time_ns()
    for _ in range(checks):
        engine.check(bag)
    return (time.process_time_ns() - began) / checks


def descriptors_table() -> None:
    """Rules as an import of envoyproxy/ratelimit makes them, none about a destination: of a request
    of a descriptor that none is about, and beside it with all rules tried one by one."""
    print(f"{'descriptors':>12}{'ns/check':>10}{'ns one by one':>15}{'ms to index':>13}")
    bag = AttributeBag(
        {
            "ratelimit.domain": "mesh",
            "ratelimit.keys": "tenant,path",
            "ratelimit.descriptor": {"tenant": "nobody", "path": "/"},
        }
    )
    for count in (1, 100, 10_000):
        limited = [{"key": "path", "rate_limit": {"unit": "minute", "requests_per_unit": 9}}]
        tree = [
            {"key": TREE_KEYS[n % 10], "value": f"t{n}", "descriptors": limited}
            for n in range(count)
        ]
        files = [
            Source(f"{at}.yaml", json.dumps({"domain": "mesh", "descriptors": tree[at : at + 500]}))
            for at in range(0, count, 500)
        ]
        documents = import_sources(files, "ratelimit").rules
        assert len(documents) == count
        snapshot = compile_snapshot(map(rule_from_json, documents), 1)
        began = time.process_time()
        lookups_of(snapshot.rules.values())
        index_ms = (time.process_time() - began) * 1e3
        engine, plain = Engine(MemoryCounters(), snapshot), Engine(MemoryCounters(), snapshot)
        plain.swap(unindexed(snapshot))
        checks = max(CHECKS // count, 10)
        rounds = [(round_ns(engine, bag), round_ns(plain, bag, checks)) for _ in range(ROUNDS)]
        check, tried = map(min, zip(*rounds, strict=True))
        print(f"{len(snapshot.rules):>12}{check:>10.0f}{tried:>15.0f}{index_ms:>13.0f}")


def unindexed(snapshot: Snapshot) -> Snapshot:
    found = candidates("", sorted(snapshot.rules.values(), key=lambda rule: rule.order))
    return Snapshot(1, snapshot.rules, None, {None: found})


def status_table() -> None:
    """Rounds of checks, and of each thing that the status of rules adds to them, in turn."""
    marking = rule_from_json(
        {"kind": "headers", "name": "mark", "match": 'request.method == "GET"',
         "request": [{"operation": "replace", "name": "x-tier", "value": "one"}]}
    )  # fmt: skip
    print(f"{'rules':>7}{'match':>7}{'ns/check':>10}{'status':>8}{'share':>8}")
    for count, matching in ((0, []), (10_000, []), (10_000, [marking])):
        snapshot = compile_snapshot([*matching, *(rule(number) for number in range(count))], 1)
        engine = Engine(MemoryCounters(), snapshot)
        rounds = [(round_ns(engine), *status_ns(engine)) for _ in range(ROUNDS)]
        check, nothing, asked, match, room = map(min, zip(*rounds, strict=True))
        status = asked + room - 2 * nothing + len(matching) * (match - nothing)
        share = status / (check - nothing)
        print(f"{count:>7}{len(matching):>7}{check:>10.0f}{status:>8.0f}{share:>8.1%}")
    sampling_us = min(sampling_second_us() for _ in range(ROUNDS))
    print(f"{sampling_us:.0f} µs of each second for sampling, {sampling_us / 1e6:.3%} of a core")


def status_ns(engine: Engine) -> tuple[float, float, float, float]:
    """Of an empty loop; of keeping in mind that there was a check; of counting a match; of asking
    whether a request is to be sampled, when the second's share is used up."""
    sample = BagSample(engine, 300.0)
    times = [time.process_time_ns()]
    for _ in range(CHECKS):
        pass
    times.append(time.process_time_ns())
    for _ in range(CHECKS):
        engine.counts.asked.add("s5.default")
    times.append(time.process_time_ns())
    for _ in range(CHECKS):
        engine.counts.match("mark@0")
    times.append(time.process_time_ns())
    for _ in range(CHECKS):
        if sample.room:
            sample.look(BAG.values)
    times.append(time.process_time_ns())
    nothing, asked, match, room = ((after - before) / CHECKS for before, after in pairwise(times))
    return nothing, asked, match, room


def sampling_second_us() -> float:
    """The most that is sampled in a second: checks about so many destinations that none repeats."""
    snapshot = compile_snapshot([rule(number) for number in range(100)], 1)
    sample = BagSample(Engine(MemoryCounters(), snapshot), 300.0)
    sample.wanted = references_of(snapshot)
    bags = [BAG.values | {"destination.service": f"s{number}"} for number in range(LOOKS)]
    began = time.process_time_ns()
    sample.refill()
    for bag in bags:
        sample.look(bag)
    return (time.process_time_ns() - began) / 1e3


if __name__ == "__main__":
    expression_table()
    engine_table()
    descriptors_table()
    status_table()
