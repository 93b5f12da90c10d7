import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from collector.store.client import Store
from migrations.clickhouse import migrate_clickhouse
from tests.dashboard.served import dashboard
from tests.dashboard.shop import Mesh, shop

PATIENCE_MS = 45_000
CHROMIUM = (
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CY = "document.getElementById('service-graph')._cyreg.cy"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=list(CHROMIUM)
        )
        yield browser
        browser.close()


class Visitor:
    """A browser tab that counts as a fault what a user would not want it to say or ask for."""

    def __init__(self, page: Page, base: str) -> None:
        self.page, self.base = page, base
        self.faults: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.faults.append(f"raised: {error}"))
        page.on("console", self.heard)
        page.on("request", self.asked)

    def heard(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def asked(self, request: Any) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.faults.append(f"asked elsewhere: {request.url}")

    def open(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page

    def graph(self) -> dict[str, dict[str, Any]]:
        """What is drawn, by id: data, classes, position, colour."""
        text = self.page.evaluate(
            f"""JSON.stringify(Object.fromEntries({CY}.elements().map(e => [e.id(), {{
                ...e.data(), classes: e.classes(), x: e.isNode() && e.position('x'),
                y: e.isNode() && e.position('y'), colour: e.style('line-color'),
                fill: e.style('background-color'), line: e.style('line-style')}}])))"""
        )
        return dict(json.loads(text))

    def wait_for_graph(self, count: int) -> None:
        """Until so many services are drawn."""
        self.page.wait_for_function(
            f"document.getElementById('service-graph')?._cyreg?.cy.nodes().length === {count}"
        )
        self.page.wait_for_function(f"{CY}.scratch('meshmeterFitted') === true")

    def click(self, element_id: str) -> None:
        """A real click on an edge's middle or a service."""
        place = self.page.evaluate(
            f"""(id) => {{
                const element = {CY}.getElementById(id);
                const box = document.getElementById('service-graph').getBoundingClientRect();
                const edge = element.isEdge();
                const at = edge ? element.renderedMidpoint() : element.renderedPosition();
                return [box.left + at.x, box.top + at.y];
            }}""",
            element_id,
        )
        self.page.mouse.click(*place)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Opens tabs, each as a new visitor; at the end nobody may have met a fault."""
    visitors: list[Visitor] = []

    def visit(base: str, **options: Any) -> Visitor:
        size = {"width": 1280, "height": 800}
        context = browser.new_context(**({"viewport": size, "color_scheme": "light"} | options))
        visitors.append(Visitor(context.new_page(), base))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        visitor.page.context.close()
    assert [fault for visitor in visitors for fault in visitor.faults] == []


@pytest.fixture
def base(store_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a dashboard of the test's own database."""
    with dashboard(store_url, tmp_path / "dashboard.log") as base:
        yield base


@pytest.fixture(scope="package")
def mesh(store_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A dashboard of the shop, for tests that only look."""
    url = f"{store_server}/shop"
    migrate_clickhouse(url)
    with closing(Store(url)) as store:
        span = shop(store)
    with dashboard(url, tmp_path_factory.mktemp("dashboard") / "log") as base:
        yield Mesh(base, span)
