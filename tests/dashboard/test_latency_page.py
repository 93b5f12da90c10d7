import time

from playwright.sync_api import expect

from tests.dashboard.shop import shop

PLOT = "document.querySelector('#{0} .js-plotly-plot')"
HEATMAP, PERCENTILES = PLOT.format("latency-heatmap"), PLOT.format("latency-percentiles")


def drawn(page, plot):
    """The traces of a picture, once it is drawn."""
    page.wait_for_function(f"{plot}?._fullData?.length > 0")
    return page.evaluate(
        f"""{plot}._fullData.map(trace => ({{name: trace.name, type: trace.type,
            z: trace.z && trace.z.map(line => [...line]), y: trace.y && [...trace.y],
            said: JSON.stringify(trace.customdata)}}))"""
    )


def test_an_edges_latency_is_drawn_as_lines_and_as_a_heatmap(mesh, visit):
    page = visit(mesh.base).open(f"/latency?{mesh.span}&source=frontend.shop&destination=cart.shop")
    lines = drawn(page, PERCENTILES)
    assert [line["name"] for line in lines] == ["requests/s", "p50", "p95", "p99"]
    for line in lines[1:]:
        told = [value for value in line["y"] if value is not None]
        assert told
        assert all(37 <= value <= 43 for value in told)
    denied, errors, requests = drawn(page, HEATMAP)
    assert [denied["name"], errors["name"], requests["name"]] == ["denied", "errors", "requests"]
    assert all(value is None for value in denied["z"][0])
    assert sum(round(10**value - 1) for value in errors["z"][0] if value is not None) == 5
    cells = [value for line in requests["z"] for value in line if value is not None]
    assert sum(round(10**value - 1) for value in cells) == 50
    assert '"33 ms","46 ms"' in requests["said"]
    tiles = page.locator("#latency-tiles dd").all_inner_texts()
    assert tiles[:3] == ["10/min", "10 %", "0 %"]


def test_a_choice_is_kept_in_the_url(mesh, visit):
    page = visit(mesh.base).open(f"/latency?{mesh.span}&refresh=off")
    drawn(page, HEATMAP)
    page.locator("#latency-choice").click()
    page.get_by_role("option", name="frontend.shop", exact=True).click()
    page.wait_for_url("**service=frontend.shop*")
    expect(page.locator("#latency-tiles dd").nth(0)).to_have_text("20/min")
    page.get_by_role("link", name="Service graph").click()
    expect(page.locator("#service-graph-panel h2")).to_have_text("frontend.shop")


def test_denied_requests_have_a_row_of_their_own(mesh, visit):
    page = visit(mesh.base).open(f"/latency?{mesh.span}&service=frontend.shop&refresh=off")
    denied, errors, _requests = drawn(page, HEATMAP)
    assert sum(round(10**value - 1) for value in denied["z"][0] if value is not None) == 10
    assert all(value is None for value in errors["z"][0])


def test_a_service_that_answers_nobody_says_so(mesh, visit):
    page = visit(mesh.base).open(f"/latency?{mesh.span}&service=web.shop")
    expect(page.locator("#latency-empty h2")).to_contain_text("web.shop: no calls answered")
    page.get_by_text("Look at all calls").click()
    drawn(page, HEATMAP)
    expect(page.locator("#latency-choice")).to_have_value("all calls")


def test_a_window_of_ones_own_is_drawn(store, base, visit):
    shop(store)
    now_s = int(time.time())
    page = visit(base).open(f"/latency?start={now_s - 1200}&end={now_s + 60}")
    expect(page.locator("#latency-tiles dd").nth(0)).to_have_text("7.1/min")
    expect(page.locator("#window input:checked")).to_have_count(0)
