"""The API describes itself, and the docs name every path of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import plain_http
from tests.bad_input.live import LiveCollector

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def openapi(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[dict[str, Any]]:
    live = LiveCollector(tmp_path_factory.mktemp("collector"), redis_url)
    yield plain_http.get(f"{live.url}/openapi.json", timeout=60).raise_for_status().json()
    live.kill()


def test_every_operation_says_what_it_does_and_how_it_refuses(openapi: dict[str, Any]) -> None:
    lacking = [
        f"{method} {path}"
        for path, item in openapi["paths"].items()
        for method, operation in item.items()
        if method in METHODS
        and not path.startswith("/internal/")
        and not (operation.get("description") and operation.get("tags") and refuses(operation))
    ]
    assert lacking == []


def refuses(operation: dict[str, Any]) -> bool:
    """What takes something says how it refuses it."""
    takes = "requestBody" in operation or operation.get("parameters")
    return not takes or "422" in operation["responses"]


def test_the_docs_name_every_path(openapi: dict[str, Any]) -> None:
    text = "\n".join(page.read_text() for page in Path("docs").rglob("*.md"))
    paths = [path for path in openapi["paths"] if not path.startswith("/internal/")]
    unnamed = [path for path in paths if named(path) not in text and path not in text]
    assert unnamed == []


def named(path: str) -> str:
    """As a page may write it, below what it said before: the last part that is no parameter."""
    return "/" + [part for part in path.split("/") if part and part[0] != "{"][-1]
