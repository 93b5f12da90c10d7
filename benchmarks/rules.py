"""What rules cost a check: nanoseconds of an expression and in the engine.

python -m benchmarks.rules
"""

import time
from collections.abc import Callable, Mapping

from policy.attributes import AttributeBag, Value
from policy.engine import Engine
from policy.expression import compile_match
from policy.quota.memory import MemoryCounters
from policy.rules import AnyRule, rule_from_json
from policy.snapshot import compile_snapshot

CHECKS, ROUNDS = 100_000, 5
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
    began = time.perf_counter_ns()
    compile_match(text)
    return (time.perf_counter_ns() - began) / 1e3


def evaluation_ns(test: Callable[[Mapping[str, Value]], bool]) -> float:
    values = BAG.values
    began = time.perf_counter_ns()
    for _ in range(CHECKS):
        test(values)
    return (time.perf_counter_ns() - began) / CHECKS


def engine_table() -> None:
    print(f"{'rules':>7}{'ns/check':>10}{'µs/rule to compile':>20}")
    for count in (0, 100, 10_000):
        began = time.perf_counter()
        rules = [rule(number) for number in range(count)]
        snapshot = compile_snapshot(rules, 1)
        compile_us = (time.perf_counter() - began) * 1e6 / max(count, 1)
        engine = Engine(MemoryCounters(), snapshot)
        best = min(round_ns(engine) for _ in range(ROUNDS))
        print(f"{count:>7}{best:>10.0f}{compile_us:>20.0f}")


def round_ns(engine: Engine) -> float:
    began = time.perf_counter_ns()
    for _ in range(CHECKS):
        engine.check(BAG)
    return (time.perf_counter_ns() - began) / CHECKS


if __name__ == "__main__":
    expression_table()
    engine_table()
