"""The cases of Mixer's own tests; see conformance/README.md."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from policy.errors import EvaluationFailed
from policy.expression import compile_expression
from policy.expression.cases import run_cases, value_of, vocabulary_of
from policy.expression.functions import FUNCTIONS

CASES = Path(__file__).parent / "conformance"
PAGE = Path(__file__).parents[2] / "docs/expressions.md"
FILES = {"expression_cases_1.0.9.json": 322, "expression_cases_1.3.0.json": 423}


def case(expression: str, **more: Any) -> dict[str, Any]:
    return {"vocabulary": "v", "expression": expression, "expect_type": "BOOL", **more}


def document(*cases: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {"s": "STRING", "i": "INT64", "d": "DURATION", "ip": "IP_ADDRESS", "m": "STRING_MAP"}
    return {"vocabularies": {"v": kinds}, "cases": list(cases)}


@pytest.mark.parametrize("name", FILES)
def test_every_case_of_mixer_passes(name: str) -> None:
    outcomes = list(run_cases(json.loads((CASES / name).read_text())))
    assert [outcome for outcome in outcomes if not outcome.passed] == []
    assert len(outcomes) == FILES[name]


class SeenMap(dict[str, str]):
    def __init__(self, entries: Mapping[str, str], name: str, seen: set[str]) -> None:
        super().__init__(entries)
        self.name, self.seen = name, seen

    def get(self, key: str, default: Any = None) -> Any:
        self.seen.add(f"{'' if key in self else '-'}{self.name}[{key}]")
        return super().get(key, default)


class SeenBag(dict[str, Any]):
    """Keeps what is read of it; a leading - is read and found absent."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.seen: set[str] = set()
        for name, value in values.items():
            super().__setitem__(name, self.seen_map(name, value))

    def seen_map(self, name: str, value: Any) -> Any:
        return SeenMap(value, name, self.seen) if isinstance(value, dict) else value

    def note(self, name: str) -> None:
        self.seen.add(name if name in self else f"-{name}")

    def get(self, name: str, default: Any = None) -> Any:
        self.note(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self.note(name)
        return super().__getitem__(name)


def test_what_is_read_is_what_mixer_reads() -> None:
    cases = json.loads((CASES / "expression_cases_1.3.0.json").read_text())
    compared = 0
    for each in cases["cases"]:
        actual = each.get("actual_interpreter", {})
        if "referenced" not in actual:
            continue
        expression = compile_expression(each["expression"], vocabulary_of(each, cases))
        bag = SeenBag({name: value_of(item) for name, item in each["input"].items()})
        try:
            expression.evaluate(bag)
        except EvaluationFailed:
            assert "eval_error" in actual
        assert bag.seen == set(actual["referenced"]), each["expression"]
        compared += 1
    assert compared == 383


@pytest.mark.parametrize(
    ("failing", "expected", "actual"),
    [
        (case("i", expect_type="INT64", expect_result={"t": "BOOL", "v": True}), "True", "1"),
        (case("i == 1", expect_result={"t": "BOOL", "v": False}), "False", "True"),
        (case("i == 1", expect_compile_error="?"), "refused when compiled", "BOOL True"),
        (case("i == s", expect_result={"t": "BOOL", "v": True}), "BOOL True", "refused"),
        (case("s == s", expect_eval_error_prefix="lookup failed: 'x'"), "x is absent", "s is abs"),
        (case("s == s", expect_eval_error_prefix="could not"), "evaluation fails", "s is absent"),
        (case("i", expect_result={"t": "INT64", "v": 1}), "BOOL 1", "INT64 1"),
    ],
)
def test_a_case_that_does_not_hold_fails(
    failing: dict[str, Any], expected: str, actual: str
) -> None:
    (outcome,) = run_cases(document(failing | {"input": {"i": {"t": "INT64", "v": 1}}}))
    assert not outcome.passed
    assert expected in str(outcome.expected)
    assert actual in str(outcome.actual)


@pytest.mark.parametrize(
    "unreadable",
    [
        [],
        {},
        {"cases": {}},
        {"cases": [1]},
        document({"vocabulary": "v"}),
        document(case("true")),
        document(case("true", vocabulary="w", expect_compile_error="")),
        document(case("true", expect_result={"t": "NUMBER", "v": 1})),
        document(case("true", expect_result=7)),
        document(case("true", expect_result={"t": "TIMESTAMP", "v": "now"})),
        document(case("true", input=[], expect_compile_error="")),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(unreadable: Any) -> None:
    with pytest.raises(ValueError, match=r"expected an object|case 1 cannot be read"):
        list(run_cases(unreadable))


def test_the_command_counts_and_its_exit_code_tells(tmp_path: Path) -> None:
    good = case("s | 'a' == 'a'", expect_result={"t": "BOOL", "v": True})
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(document(good, good)))
    answer = CliRunner().invoke(app, ["rules", "evaluate-cases", str(file)])
    assert (answer.exit_code, answer.stdout) == (0, "2 passed, 0 failed\n")

    bad = case("s == 'a'", expect_result={"t": "BOOL", "v": True})
    file.write_text(json.dumps(document(good, bad)))
    answer = CliRunner().invoke(app, ["rules", "evaluate-cases", str(file)])
    assert answer.exit_code == 1
    assert answer.stdout.splitlines() == [
        "case 2: s == 'a': expected BOOL True, got BOOL attribute s is absent",
        "1 passed, 1 failed",
    ]


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", None])
def test_the_command_says_what_it_cannot_read(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "cases.json"
    if content is not None:
        file.write_bytes(content)
    answer = CliRunner().invoke(app, ["rules", "evaluate-cases", str(file)])
    assert answer.exit_code == 1
    assert isinstance(answer.exception, SystemExit)
    assert str(file) in str(answer.exception)
    assert " passed, " not in answer.stdout


def test_the_cases_in_the_documentation_hold() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert [outcome.passed for outcome in run_cases(json.loads(example))] == [True] * 3


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_is_described(function: str) -> None:
    assert re.search(rf"`[^`\n]*\b{function}\b", PAGE.read_text())
