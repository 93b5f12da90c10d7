"""The query API over a real store."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.api.query import query_router
from collector.api.servicegraph import servicegraph_router
from collector.api.zipkin_query import zipkin_router
from collector.ingest import store_group
from collector.model import Signal, Taken
from collector.questions import Questions
from collector.store.client import Store
from collector.times import from_rfc3339, rfc3339
from tests.collector.reports import log_record, logs, report, text
from tests.collector.stored_rows import MS, SECOND, insert, request, span
from tests.conftest import free_port

Get = Callable[..., Awaitable[httpx.Response]]


def asked(store: Store, body: Callable[[Get], Awaitable[None]]) -> None:
    async def run() -> None:
        app = FastAPI()
        for router in (query_router, zipkin_router, servicegraph_router):
            app.include_router(router(Questions(store)))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://c") as client:

            async def get(path: str, **params: Any) -> httpx.Response:
                at = path if path.startswith(("/api/", "/servicegraph/")) else f"/api/v1{path}"
                return await client.get(at, params=params)

            await body(get)

    asyncio.run(run())


@pytest.fixture
def now_ns() -> int:
    return time.time_ns() - 30 * SECOND


def shop(store: Store, now_ns: int) -> None:
    insert(store, "requests", [
        request(now_ns, "web.shop", "cart.shop", duration_ns=10 * MS),
        request(now_ns, "web.shop", "cart.shop", duration_ns=10 * MS, error=1),
        request(now_ns, "cart.shop", "db.shop", duration_ns=20 * MS, denied=1),
    ])  # fmt: skip
    insert(store, "spans", [
        span(now_ns + number * MS, "cart.shop", number, 0, name="GET /cart",
             trace_id=number.to_bytes(16, "big"), error=int(number == 3),
             attributes={"user": f"u{number}"})
        for number in range(1, 6)
    ])  # fmt: skip


def test_the_graph_has_every_service_and_what_it_received(store, now_ns):
    shop(store, now_ns)

    async def body(get: Get) -> None:
        found = (await get("/graph")).json()
        nodes = {node["name"]: node for node in found["nodes"]}
        assert set(nodes) == {"web.shop", "cart.shop", "db.shop"}
        assert (nodes["cart.shop"]["requests"], nodes["cart.shop"]["errors"]) == (2, 1)
        assert (nodes["db.shop"]["denied"], nodes["web.shop"]["requests"]) == (1, 0)
        edges = {(edge["source"], edge["destination"]): edge for edge in found["edges"]}
        assert set(edges) == {("web.shop", "cart.shop"), ("cart.shop", "db.shop")}
        assert edges["cart.shop", "db.shop"]["p50_ms"] == pytest.approx(20, rel=0.05)
        assert found["unpaired"] == []

    asked(store, body)


def test_edges_services_operations_and_latency_are_told(store, now_ns):
    shop(store, now_ns)
    insert(store, "requests", [request(now_ns, "w\u0435b.shop", "web.shop")])  # Cyrillic's е

    async def body(get: Get) -> None:
        (edge,) = (await get("/edges", source="cart.shop")).json()
        assert edge["destination"] == "db.shop"
        assert {each["name"]: each["caution"] for each in (await get("/services")).json()} == {
            "web.shop": "", "cart.shop": "", "db.shop": "", "w\u0435b.shop": "mixed scripts",
        }  # fmt: skip
        (operation,) = (await get("/operations", service="cart.shop")).json()
        assert (operation["name"], operation["kind"]) == ("GET /cart", "server")
        assert (operation["spans"], operation["errors"]) == (5, 1)
        found = (await get("/latency", destination="cart.shop")).json()
        assert sum(moment["requests"] for moment in found["moments"]) == 2
        start = from_rfc3339(found["moments"][0]["start"])
        assert start % (found["step_s"] * SECOND) == 0

    asked(store, body)


def test_traces_are_paged_to_their_end_and_read_whole(store, now_ns):
    shop(store, now_ns)

    async def body(get: Get) -> None:
        first = (await get("/traces", service="cart.shop", limit=3)).json()
        assert (first["total"], first["total_is_exact"]) == (5, True)
        second = (await get("/traces", service="cart.shop", limit=3, cursor=first["next"])).json()
        ids = [int(each["trace_id"], 16) for each in first["traces"] + second["traces"]]
        assert (ids, second["next"]) == ([5, 4, 3, 2, 1], None)
        (failed,) = (await get("/traces", errors=True)).json()["traces"]
        assert failed["trace_id"] == f"{3:032x}"
        (by_user,) = (await get("/traces", attribute=["user=u2", "user"])).json()["traces"]
        (whole,) = (await get(f"/trace/{by_user['trace_id']}")).json()
        assert (whole["attributes"], whole["kind"]) == ({"user": "u2"}, "server")
        short = await get(f"/trace/{2:016x}")  # a 64-bit id is the low half of one of 128
        assert short.json() == [whole]
        assert (await get(f"/trace/{9:032x}")).status_code == 404

    asked(store, body)


def test_logs_are_paged_to_their_end(store, now_ns):
    """Stored by a worker, of the bytes an SDK sends."""
    told = [
        log_record(
            time_unix_nano=now_ns + number,
            severity_number=9 + 4 * (number % 3),
            body=AnyValue(string_value=f"line {number}"),
            trace_id=number.to_bytes(16, "big"),
            attributes=[text("user", f"u{number}")],
        )
        for number in range(1, 6)
    ]
    taken = Taken([report(logs(*told), Signal.OTLP_LOGS, received_ns=time.time_ns())])
    store_group(store, "collector", 1, taken)

    async def body(get: Get) -> None:
        first = (await get("/logs", limit=3)).json()
        assert (first["total"], first["total_is_exact"]) == (5, True)
        second = (await get("/logs", limit=3, cursor=first["next"])).json()
        found = first["logs"] + second["logs"]
        assert [each["body"] for each in found] == [f"line {number}" for number in (5, 4, 3, 2, 1)]
        assert second["next"] is None
        assert [each["severity"] for each in found] == ["error", "warn", "info", "error", "warn"]
        (one,) = (await get("/logs", attribute="user=u4", text="LINE", severity="warn")).json()[
            "logs"
        ]
        assert (one["time_ns"], one["trace_id"]) == (now_ns + 4, f"{4:032x}")
        assert (await get("/logs", trace_id=f"{4:016x}")).json()["logs"] == [one]
        assert (await get("/logs", severity="fatal")).json()["logs"] == []

    asked(store, body)


def test_a_window_is_minutes_or_from_and_to(store, now_ns):
    shop(store, now_ns)

    async def body(get: Get) -> None:
        around = {"from": rfc3339(now_ns - SECOND), "to": rfc3339(now_ns + SECOND)}
        assert len((await get("/traces", **around)).json()["traces"]) == 5
        seconds = {"from": str(now_ns // SECOND - 600), "to": str(now_ns // SECOND - 300)}
        assert (await get("/traces", **seconds)).json()["total"] == 0
        assert (await get("/traces", minutes=0.1)).json()["total"] == 0

    asked(store, body)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/graph", {"minutes": 0}),
        ("/graph", {"minutes": "soon"}),
        ("/graph", {"minutes": 1e9}),
        ("/graph", {"from": "yesterday"}),
        ("/graph", {"from": "2026-11-24T00:00:00Z", "to": "2026-11-23T00:00:00Z"}),
        ("/graph", {"from": "2000-01-01T00:00:00Z"}),
        ("/graph", {"limit": 0}),
        ("/graph", {"limit": 10**9}),
        ("/traces", {"attribute": ""}),
        ("/traces", {"attribute": ["a=b"] * 17}),
        ("/traces", {"attribute": "=x"}),
        ("/traces", {"cursor": "%%%"}),
        ("/traces", {"cursor": "bm8"}),
        ("/traces", {"min_duration_ms": -1}),
        ("/traces", {"service": "x" * 600}),
        ("/logs", {"severity": "loud"}),
        ("/logs", {"trace_id": "xyz"}),
        ("/logs", {"text": "x" * 1025}),
        ("/logs", {"limit": 1001}),
        ("/logs", {"cursor": "%%%"}),
        ("/logs", {"cursor": "bm8"}),
        ("/logs", {"cursor": "_" * 27}),
        ("/trace/xyz", {}),
        ("/trace/" + "a" * 33, {}),
    ],
)
def test_a_bad_question_is_refused_as_a_problem(store, path, params):
    async def body(get: Get) -> None:
        answer = await get(path, **params)
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]

    asked(store, body)


def test_text_that_looks_like_sql_is_a_text(store, now_ns):
    shop(store, now_ns)
    hostile = "'; DROP TABLE spans; --"

    async def body(get: Get) -> None:
        for params in ({"service": hostile}, {"operation": hostile}, {"attribute": f"a={hostile}"}):
            assert (await get("/traces", **params)).json()["total"] == 0
        for params in ({"text": hostile}, {"service": hostile}, {"attribute": f"a={hostile}"}):
            assert (await get("/logs", **params)).json()["total"] == 0
        assert (await get("/traces")).json()["total"] == 5

    asked(store, body)


def test_while_the_store_is_down_the_answer_is_503():
    away = Store(f"clickhouse://127.0.0.1:{free_port()}/none")

    async def body(get: Get) -> None:
        answer = await get("/services")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")

    asked(away, body)


def test_moments_are_written_and_read_to_the_nanosecond():
    for time_ns in (0, 1, 1_795_000_000_123_456_789, 999_999_999):
        assert from_rfc3339(rfc3339(time_ns)) == time_ns
    assert from_rfc3339("2026-11-24T01:00:00.5+01:00") == from_rfc3339("2026-11-24T00:00:00.5Z")


def test_zipkins_readers_find_services_spans_and_traces(store, now_ns):
    shop(store, now_ns)

    async def body(get: Get) -> None:
        assert set((await get("/api/v2/services")).json()) == {"web.shop", "cart.shop", "db.shop"}
        assert (await get("/api/v2/spans", serviceName="cart.shop")).json() == ["GET /cart"]
        assert (await get("/api/v2/remoteServices", serviceName="cart.shop")).json() == ["db.shop"]
        found = (await get("/api/v2/traces", serviceName="cart.shop", limit=2)).json()
        assert [int(trace[0]["traceId"], 16) for trace in found] == [5, 4]
        ((span,),) = (await get("/api/v2/traces", annotationQuery="error and user=u3")).json()
        assert span == {
            "traceId": f"{3:032x}",
            "id": f"{3:016x}",
            "kind": "SERVER",
            "name": "GET /cart",
            "timestamp": (now_ns + 3 * MS) // 1000,
            "duration": 10_000,
            "localEndpoint": {"serviceName": "cart.shop"},
            "tags": {"user": "u3", "error": "true"},
        }
        assert (await get(f"/api/v2/trace/{3:016x}")).json() == [span]
        assert (await get(f"/api/v2/trace/{9:016x}")).status_code == 404
        many = await get("/api/v2/traceMany", traceIds=f"{3:016x},{9:016x}")
        assert many.json() == [[span]]
        assert (await get("/api/v2/autocompleteKeys")).json() == []

    asked(store, body)


def test_zipkins_dependencies_are_the_edges(store, now_ns):
    shop(store, now_ns)

    async def body(get: Get) -> None:
        ends = {"endTs": now_ns // MS + 1000, "lookback": 60_000}
        found = (await get("/api/v2/dependencies", **ends)).json()
        assert {
            "parent": "web.shop",
            "child": "cart.shop",
            "callCount": 2,
            "errorCount": 1,
        } in found
        assert len(found) == 2
        early = await get("/api/v2/dependencies", endTs=now_ns // MS - 86_400_000, lookback=1000)
        assert early.json() == []

    asked(store, body)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/api/v2/spans", {}),
        ("/api/v2/dependencies", {}),
        ("/api/v2/dependencies", {"endTs": -5}),
        ("/api/v2/traces", {"limit": 0}),
        ("/api/v2/traces", {"annotationQuery": "=x"}),
        ("/api/v2/traceMany", {"traceIds": "1,2"}),
        ("/api/v2/trace/xyz", {}),
        ("/servicegraph/graph", {"minutes": -1}),
    ],
)
def test_a_bad_question_of_a_foreign_reader_is_refused(store, path, params):
    async def body(get: Get) -> None:
        assert (await get(path, **params)).status_code == 422

    asked(store, body)


def test_the_service_graph_is_told_as_istios_add_on_did(store, now_ns):
    shop(store, now_ns)
    insert(store, "spans", [span(now_ns, 'al"one', 99, 0, name="x", trace_id=b"l" * 16)])

    async def body(get: Get) -> None:
        window = {"from": rfc3339(now_ns - 5 * SECOND), "to": rfc3339(now_ns + 5 * SECOND)}
        graph = (await get("/servicegraph/graph", **window)).json()
        assert set(graph["nodes"]) == {"web.shop", "cart.shop", "db.shop", 'al"one'}
        assert {
            "source": "web.shop",
            "target": "cart.shop",
            "labels": {"reqs/sec": "0.200000", "errs/sec": "0.100000"},
        } in graph["edges"]
        called = (await get("/servicegraph/graph", filter_empty=True, **window)).json()
        assert set(called["nodes"]) == {"web.shop", "cart.shop", "db.shop"}
        dot = (await get("/servicegraph/dotgraph", **window)).text
        assert '"web.shop" -> "cart.shop" [label="reqs/sec: 0.200000"];' in dot
        assert '"al\\"one";' in dot

    asked(store, body)
