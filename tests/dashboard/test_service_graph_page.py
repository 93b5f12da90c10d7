import time
from contextlib import closing

from playwright.sync_api import expect

from collector.store.client import Store
from dashboard.graph_elements import edge_id, node_id
from migrations.clickhouse import migrate_clickhouse
from tests.collector.stored_rows import insert, request
from tests.dashboard.served import dashboard
from tests.dashboard.shop import shop
from tests.embedded.daemon import running_store
from tests.waiting import eventually

NODES = {node_id(f"{name}.shop") for name in ("web", "mobile", "frontend", "cart")}
TO_CART = edge_id("frontend.shop", "cart.shop")
EDGES = {
    edge_id("web.shop", "frontend.shop"),
    edge_id("mobile.shop", "frontend.shop"),
    TO_CART,
}
DENIED = edge_id("mobile.shop", "frontend.shop", "denied")
PANEL = "#service-graph-panel"


def places(graph):
    return {name: (one["x"], one["y"]) for name, one in graph.items() if name.startswith("node:")}


def test_what_is_drawn_is_what_is_stored(mesh, visit):
    visitor = visit(mesh.base)
    visitor.open(f"/?{mesh.span}")
    visitor.wait_for_graph(4)
    drawn = visitor.graph()
    assert drawn.keys() == NODES | EDGES | {DENIED}
    assert {name: drawn[name]["requests"] for name in EDGES} == dict(
        zip(sorted(EDGES), [50, 40, 60], strict=True)
    )
    assert "bad" in drawn[TO_CART]["classes"]
    assert "ok" in drawn[edge_id("web.shop", "frontend.shop")]["classes"]
    at = places(drawn)
    assert (
        at[node_id("web.shop")][0] < at[node_id("frontend.shop")][0] < at[node_id("cart.shop")][0]
    )
    expect(visitor.page.locator("#freshness")).to_contain_text("UTC")


def test_a_denial_is_a_dashed_violet_edge_that_names_its_rule(mesh, visit):
    visitor = visit(mesh.base)
    visitor.open(f"/?{mesh.span}")
    visitor.wait_for_graph(4)
    denied = visitor.graph()[DENIED]
    assert denied["label"] == "2/min\nby free-tier"
    assert (denied["colour"], denied["line"]) == ("rgb(112,72,232)", "dashed")


def test_a_click_on_an_edge_shows_its_numbers(mesh, visit):
    visitor = visit(mesh.base)
    page = visitor.open(f"/?{mesh.span}&refresh=off")
    visitor.wait_for_graph(4)
    visitor.click(TO_CART)
    panel = page.locator(PANEL)
    expect(panel.locator("h2")).to_have_text("frontend.shop → cart.shop")
    assert panel.locator(".tile dt").all_inner_texts() == [
        "rate", "errors", "denied", "p50", "p95", "p99",
    ]  # fmt: skip
    values = panel.locator(".tile dd").all_inner_texts()
    assert values[:3] == ["10/min", "10 %", "0 %"]
    assert all(37 <= float(value.removesuffix(" ms")) <= 43 for value in values[3:])
    assert panel.locator(".key span").all_inner_texts() == ["45 OK", "5 error", "0 denied"]
    assert "source=frontend.shop" in page.url
    panel.get_by_text("Latency of this edge").click()
    page.wait_for_url("**/latency?*destination=cart.shop*")
    expect(page.locator("#latency-choice")).to_have_value("frontend.shop → cart.shop")


def test_a_click_on_a_denial_shows_the_rule_and_its_version(mesh, visit):
    visitor = visit(mesh.base)
    page = visitor.open(f"/?{mesh.span}&refresh=off")
    visitor.wait_for_graph(4)
    visitor.click(DENIED)
    expect(page.locator("#denied-by")).to_contain_text("free-tier v3")
    assert page.locator("#denied-by tbody td").all_inner_texts()[1:] == ["ext_authz", "10", "2/min"]


def test_a_click_on_a_service_shows_who_calls_it_and_whom_it_calls(mesh, visit):
    visitor = visit(mesh.base)
    page = visitor.open(f"/?{mesh.span}&refresh=off")
    visitor.wait_for_graph(4)
    visitor.click(node_id("frontend.shop"))
    panel = page.locator(PANEL)
    expect(panel.locator("h2")).to_have_text("frontend.shop")
    assert panel.locator("tbody a").all_inner_texts() == ["web.shop", "mobile.shop", "cart.shop"]
    panel.get_by_title("close").click()
    expect(panel.locator("h2")).to_have_text("Overview")


def test_a_link_brings_back_selection_window_and_refresh(mesh, visit):
    visitor = visit(mesh.base)
    page = visitor.open("/graph?window=1h&refresh=off&source=mobile.shop&destination=frontend.shop")
    visitor.wait_for_graph(4)
    expect(page.locator(f"{PANEL} h2")).to_have_text("mobile.shop → frontend.shop")
    expect(page.locator("#window input:checked")).to_have_value("1h")
    expect(page.locator("#refresh")).to_have_value("Off")
    assert "faded" in visitor.graph()[node_id("cart.shop")]["classes"]
    page.locator("#window").get_by_text("5 m", exact=True).click()
    page.wait_for_url("**window=5m*")
    assert "source=mobile.shop" in page.url
    page.go_back()
    expect(page.locator("#window input:checked")).to_have_value("1h")


def test_services_stay_where_they_are_when_another_appears(store, base, visit):
    shop(store)
    visitor = visit(base)
    page = visitor.open("/?window=5m&refresh=10s")
    visitor.wait_for_graph(4)
    before = places(visitor.graph())
    row = request(visitor.page.evaluate("Date.now()") * 1_000_000, "frontend.shop", "ads.shop")
    insert(store, "requests", [row])
    page.wait_for_function(
        "document.getElementById('service-graph')._cyreg.cy.nodes().length === 5"
    )
    after = places(visitor.graph())
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == 5


def test_dark_is_dark_and_is_remembered(mesh, visit):
    visitor = visit(mesh.base)
    page = visitor.open(f"/?{mesh.span}")
    visitor.wait_for_graph(4)
    assert visitor.graph()[node_id("cart.shop")]["fill"] == "rgb(255,255,255)"
    page.locator("#scheme-toggle").click()

    def card_is_dark():
        return visitor.graph()[node_id("cart.shop")]["fill"] == "rgb(37,38,43)"

    eventually(card_is_dark)
    page.reload()
    visitor.wait_for_graph(4)
    eventually(card_is_dark)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 21, 23)"


def test_dark_follows_the_system(mesh, visit):
    visitor = visit(mesh.base, color_scheme="dark")
    visitor.open(f"/?{mesh.span}")
    visitor.wait_for_graph(4)
    eventually(lambda: visitor.graph()[node_id("cart.shop")]["fill"] == "rgb(37,38,43)")


def test_an_empty_store_says_how_to_fill_it(base, visit):
    visitor = visit(base)
    page = visitor.open("/")
    expect(page.get_by_text("No call has been reported yet")).to_be_visible()
    expect(page.get_by_text("meshmeter demo")).to_be_visible()
    expect(page.get_by_text("meshmeter sidecar envoy")).to_be_visible()
    expect(page.get_by_text("http://mesh.example:14317")).to_be_visible()
    page.get_by_role("link", name="Latency").click()
    expect(page.locator("#latency-empty h2")).to_have_text("No call has been reported yet")
    expect(page.locator("#freshness")).to_have_text("no data yet")


def test_an_empty_window_says_where_the_data_is(store, base, visit):
    shop(store)
    page = visit(base).open("/?start=2001-01-01T00:00:00&end=2001-01-01T01:00:00")
    expect(page.locator("#service-graph-empty h2")).to_have_text(
        "No calls in 2001-01-01 00:00:00 to 2001-01-01 01:00:00 UTC"
    )
    expect(page.locator("#own-window")).to_have_text("own window")
    page.get_by_text("around the newest call").click()
    expect(page.locator(f"{PANEL} h2")).to_have_text("Overview")


def test_a_name_of_html_is_text(store, base, visit):
    shop(store)
    name = "<img src=x onerror=document.title='owned'>"
    insert(
        store,
        "requests",
        [request(time.time_ns() - 1, name, "cart.shop")],
    )
    visitor = visit(base)
    page = visitor.open("/?window=5m")
    visitor.wait_for_graph(5)
    visitor.click(node_id(name))
    expect(page.locator(f"{PANEL} h2")).to_have_text(name)
    page.goto(f"{base}/latency?window=5m&source={name}&destination=cart.shop")
    expect(page.locator("#latency-choice")).to_have_value(f"{name} → cart.shop")
    expect(page.locator("#latency-heatmap .js-plotly-plot")).to_be_visible()
    assert page.title() == "meshmeter"


def test_more_than_sixty_services_are_cut_to_the_busiest_and_it_says_so(store, base, visit):
    now_ns = time.time_ns()
    rows = [request(now_ns - 1, "web", f"s{n}", weight=float(n + 1)) for n in range(80)]
    insert(store, "requests", rows)
    visitor = visit(base)
    page = visitor.open("/?window=5m")
    visitor.wait_for_graph(60)
    assert node_id("s79") in visitor.graph()
    assert node_id("s0") not in visitor.graph()
    expect(page.locator("#service-graph-hidden")).to_contain_text("Showing 60 of 81 services")
    page.get_by_text("show all").click()
    page.wait_for_function(
        "document.getElementById('service-graph')._cyreg.cy.nodes().length === 81"
    )


def test_a_store_that_is_down_is_told_and_the_picture_stays(tmp_path, visit):
    with running_store(tmp_path / "store") as process:
        url = process.url.rpartition("/")[0] + "/meshmeter"
        migrate_clickhouse(url)
        with closing(Store(url)) as store:
            shop(store)
        with dashboard(url, tmp_path / "dashboard.log") as base:
            visitor = visit(base)
            page = visitor.open("/graph?window=1h&refresh=10s")
            visitor.wait_for_graph(4)
            before = visitor.graph().keys()
            process.kill()
            expect(page.locator("#service-graph-notice")).to_contain_text("No fresh figures")
            expect(page.locator("#freshness")).to_have_text("the store does not answer")
            assert visitor.graph().keys() == before
            process.start()
            expect(page.locator("#service-graph-notice")).to_be_empty()
            assert visitor.graph().keys() == before


def test_a_tab_nobody_sees_asks_for_nothing_and_catches_up_when_seen(mesh, visit):
    visitor = visit(mesh.base)
    page = visitor.open(f"/?{mesh.span}&refresh=off")
    visitor.wait_for_graph(4)
    hide = (
        "hidden => Object.defineProperty(document, 'hidden', {value: hidden, configurable: true})"
    )
    tick = "dash_clientside.meshmeter.pulse(1) === dash_clientside.no_update"
    assert page.evaluate(tick) is False
    page.evaluate(hide, True)
    assert page.evaluate(tick) is True
    page.evaluate(hide, False)
    with page.expect_request(lambda asked: "service-graph.elements" in (asked.post_data or "")):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
