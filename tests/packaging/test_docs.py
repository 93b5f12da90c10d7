"""What the documentation says is there, is there."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from collector.frontends import GRPC, HTTP, SOCKETS
from policy.quota import ALGORITHMS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
SHELL = re.compile(r"^```(?:bash|sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\s*(?:\./)?meshmeter ([a-z-]+(?: [a-z-]+)?)", re.MULTILINE)
SCRIPT_WORDS = {"test"}  # of ./meshmeter itself, not of the command


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_to_a_file_leads_somewhere(page):
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_shown_exists(page):
    shown = "\n".join(SHELL.findall(page.read_text()))
    for words in {found.split()[0] for found in COMMAND.findall(shown)} - SCRIPT_WORDS:
        answer = CliRunner().invoke(app, [words, "--help"])
        assert answer.exit_code == 0, f"{words}: {answer.output}"


@pytest.mark.parametrize(
    "frontend",
    dict.fromkeys([*GRPC, *HTTP, *SOCKETS]),  # not a set, whose order each process has its own of
    ids=lambda module: module.__name__,
)
def test_every_front_end_has_a_page(frontend):
    name = frontend.__name__.rpartition(".")[2].removeprefix("envoy_").replace("_", "-")
    stem = name.removesuffix("-http")
    assert (ROOT / f"docs/protocols/{stem}.md").exists()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_is_described(algorithm):
    page = (ROOT / f"docs/quotas/{algorithm}.md").read_text()
    assert page.startswith(f"# {algorithm}\n")
    for overview in ("rules.md", "quotas/README.md"):
        assert f"{algorithm}.md" in (ROOT / "docs" / overview).read_text()
