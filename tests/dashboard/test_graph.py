from collector.store.queries.denials_by_rule import Denials
from collector.store.queries.service_graph import Edge
from dashboard.arrangement import arrange
from dashboard.graph import graph
from dashboard.graph_elements import elements
from dashboard.side_panel import look_alike
from dashboard.theme import health
from dashboard.view import View


def edge(source, destination, requests=60.0, errors=0.0, denied=0.0, reporter="destination"):
    return Edge(source, destination, reporter, requests, errors, denied, 1.0, 2.0, 3.0)


def drawn(found):
    return {one["data"]["id"]: one for one in elements(found, arrange(found.links), View())}


def test_a_denial_without_a_report_is_an_edge_of_its_own():
    found = graph([], [Denials("a", "b", "blocked", 1, "rls", 30)], 60)
    shown = drawn(found)
    assert shown.keys() == {"node:a", "node:b", 'denied["a", "b"]'}
    assert shown['denied["a", "b"]']["data"]["label"] == "30/min\nby blocked"


def test_several_rules_are_told_as_the_busiest_and_how_many_more():
    denials = [Denials("a", "b", rule, 1, "rls", n) for rule, n in (("x", 5), ("y", 2), ("x", 1))]
    shown = drawn(graph([edge("a", "b", denied=8)], denials, 60))
    assert shown['denied["a", "b"]']["data"]["label"] == "8/min\nby x +1"


def test_kinds_are_told_apart():
    edges = [
        edge("unknown", "a"),
        edge("web", "a"),
        edge("a", "db", reporter="source"),
    ]
    kinds = {name: service.kind for name, service in graph(edges, [], 60).services.items()}
    assert kinds == {"unknown": "unknown", "web": "caller", "a": "service", "db": "outside"}


def test_what_only_others_name_is_a_database_a_queue_or_a_host():
    edges = [
        edge("a", "postgresql:db")._replace(reporter="spans", destination_kind="database"),
        edge("kafka:o", "a")._replace(reporter="spans", source_kind="queue"),
        edge("a", "b")._replace(reporter="spans", destination_kind="host"),
        edge("c", "b"),
    ]
    kinds = {name: service.kind for name, service in graph(edges, [], 60).services.items()}
    assert kinds == {
        "postgresql:db": "database", "kafka:o": "queue", "a": "outside", "b": "service",
        "c": "caller",
    }  # fmt: skip


def test_what_is_chosen_is_shown_however_quiet():
    edges = [edge("web", f"s{n}", requests=n + 1.0) for n in range(10)]
    found = graph(edges, [], 60, most=4, chosen=("s0",))
    assert found.services.keys() == {"web", "s0", "s9", "s8"}
    assert found.hidden == 7
    assert {edge.destination for edge in found.edges} == {"s0", "s9", "s8"}


def test_trouble_is_shown_before_traffic():
    edges = [edge("web", "busy", 100), edge("web", "failing", 20, errors=20)]
    assert "failing" in graph(edges, [], 60, most=2).services


def test_health_is_by_the_share_of_errors():
    assert [health(100, errors) for errors in (0, 0.9, 1, 4.9, 5)] == [
        "ok", "ok", "warn", "warn", "bad",
    ]  # fmt: skip
    assert health(0, 0) == "idle"


def test_a_name_that_may_pass_for_another_has_a_badge():
    assert look_alike("cart.shop") is None
    badge = look_alike("c\u0430rt.shop")  # Cyrillic's а
    assert badge.children == "mixed scripts"
