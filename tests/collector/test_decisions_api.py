"""Decisions looked up by id, and searched, over HTTP: from memory and from a real store."""

import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from collector.api.decisions import decisions_router
from collector.decisions.history import DecisionHistory
from collector.decisions.recent import RecentDecisions
from collector.store.client import Store
from collector.store.queries.decisions import MOST_COUNTED
from tests.collector.recorded import Recorded, asked
from tests.collector.stored_rows import SECOND, decision, insert
from tests.conftest import free_port

TRACE = "0af7651916cd43dd8448eb211c80319c"
DENY = {"kind": "deny", "name": "no", "match": 'destination.service == "c"', "version": 4}
QUOTA = {
    "kind": "quota", "name": "calm", "match": 'destination.service == "b"', "limit": 2,
    "window": 3600, "algorithm": "fixed-window", "dimensions": ["source.service"],
    "draft": {"limit": 1, "window": 3600, "algorithm": "fixed-window"},
}  # fmt: skip


def bag(source: str, destination: str, **more: Any) -> dict[str, Any]:
    return {"source.service": source, "destination.service": destination, **more}


def get(
    store: Store, path: str, recent: RecentDecisions | None = None, sample: float = 0.1,
    **params: Any,
) -> httpx.Response:  # fmt: skip
    found: list[httpx.Response] = []

    async def body(client: httpx.AsyncClient) -> None:
        found.append(await client.get(path, params=params))

    asked(decisions_router(DecisionHistory(store, recent or RecentDecisions()), sample), body)
    return found[0]


def search(store: Store, **params: Any) -> dict[str, Any]:
    answer = get(store, "/decisions", **params)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def ids(page: Mapping[str, Any]) -> list[str]:
    return [found["id"] for found in page["decisions"]]


def totals(page: Mapping[str, Any]) -> tuple[int, bool, float]:
    return page["total"], page["total_is_exact"], page["requests"]


def test_a_decision_is_the_same_from_memory_and_from_the_store(store: Store) -> None:
    side = Recorded(store, QUOTA)
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    request = bag("a", "b", **{"request.id": "r-1", "request.headers": headers})
    *_, refused = side.check([request] * 3)
    at_once = get(store, f"/decisions/{refused.id}", side.log.recent).json()
    later = get(store, f"/decisions/{refused.id}").json()
    assert (at_once.pop("from"), later.pop("from")) == ("memory", "store")
    assert at_once == later
    assert later.pop("time") > "2026-"
    assert later == {
        "id": refused.id,
        "allowed": False,
        "decided_by": "quota",
        "rule": "calm",
        "rule_version": 0,
        "snapshot_version": 7,
        "reason": "quota calm is exhausted",
        "http_status": 429,
        "protocol": "test",
        "source": "a",
        "destination": "b",
        "source_principal": "",
        "method": "",
        "path": "",
        "request_id": "r-1",
        "trace_id": TRACE,
        "quota_limit": 2,
        "quota_remaining": 0,
        "quota_granted": 0,
        "quota_key": "a",
        "quota_override": "",
        "attributes": {"destination.service": "b", "source.service": "a"},
        "beside": [
            {"rule": "calm", "rule_version": 0, "allowed": False, "live": False, "quota_key": "a"}
        ],
        "weight": 1.0,
        "recorded": True,
    }


def test_an_allow_outside_the_sample_is_known_while_it_is_in_memory(store: Store) -> None:
    side = Recorded(store, sample=0.0)
    (allowed,) = side.check([bag("a", "x")])
    found = get(store, f"/decisions/{allowed.id}", side.log.recent).json()
    assert (found["recorded"], found["allowed"], found["from"]) == (False, True, "memory")
    assert "source" not in found
    answer = get(store, f"/decisions/{allowed.id}")
    assert answer.status_code == 404
    assert "a share of 0.1 is recorded" in answer.json()["detail"]


def test_decisions_are_found_by_each_of_what_names_them(store: Store) -> None:
    side = Recorded(store, DENY, QUOTA)
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    one, two, three, four = side.check(
        [
            bag("a", "c", **{"request.id": "r-1"}),
            bag("web", "c", **{"request.headers": headers}),
            bag("web", "b", **{"source.principal": "spiffe://mesh/web"}),
            bag("web", "x"),
        ]
    )
    everything = search(store)
    assert ids(everything) == [four.id, three.id, two.id, one.id]
    assert totals(everything) == (4, True, 4.0)
    assert (everything["next"], everything["allow_sample"]) == (None, 0.1)
    for params, expected in (
        ({"request_id": "r-1"}, [one]),
        ({"trace_id": TRACE.upper()}, [two]),
        ({"client": "web"}, [four, three, two]),
        ({"client": "spiffe://mesh/web"}, [three]),
        ({"destination": "c"}, [two, one]),
        ({"rule": "no"}, [two, one]),
        ({"beside": "calm"}, [three]),
        ({"allowed": "false"}, [two, one]),
        ({"allowed": "true", "client": "web"}, [four, three]),
        ({"rule": "no", "client": "web"}, [two]),
        ({"rule": "' OR 1 = 1 --"}, []),
        ({"from": "2020-01-01T00:00:00Z", "to": "2020-01-02"}, []),
        ({"from": "0001-01-01T00:00:00", "to": "9999-12-31T00:00:00"}, [four, three, two, one]),
    ):
        page = search(store, **params)
        assert ids(page) == [each.id for each in expected], params
        assert page["total"] == len(expected)


def test_pages_follow_each_other_without_gap_or_repetition(store: Store) -> None:
    now_ns = time.time_ns()
    rows = [  # three at each moment: the place of a row is its time and its id
        decision(now_ns - number // 3 * SECOND, "a", "b", id=f"d-{number:02}", weight=2.0)
        for number in range(20)
    ]
    insert(store, "decisions", rows)
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = search(store, limit=7, cursor=cursor)
        assert totals(page) == (20, True, 40.0)
        seen += ids(page)
        cursor = page["next"]
    newest_first = sorted(rows, key=lambda row: (row["time"], row["id"]), reverse=True)
    assert seen == [row["id"] for row in newest_first]


def test_of_very_many_the_total_is_a_lower_bound(store: Store) -> None:
    now_ns = time.time_ns()
    insert(store, "decisions", [decision(now_ns - at, "a", "b") for at in range(MOST_COUNTED + 2)])
    assert totals(search(store, limit=1))[:2] == (MOST_COUNTED, False)


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({"cursor": "nonsense"}, "/cursor"),
        ({"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTphLTE"}, "/cursor"),
        ({"limit": 0}, "/limit"),
        ({"trace_id": "xyz"}, "/trace_id"),
        ({"from": "yesterday"}, ""),
        ({"allowed": "maybe"}, "/allowed"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_place(
    store: Store, params: dict[str, Any], place: str
) -> None:
    answer = get(store, "/decisions", **params)
    assert (answer.status_code, answer.json()["place"]) == (422, place)


@pytest.mark.parametrize("path", ["/decisions", "/decisions/d-1"])
def test_a_store_that_is_down_is_said_to_be(path: str) -> None:
    store = Store(f"clickhouse://127.0.0.1:{free_port()}/meshmeter")
    answer = get(store, path)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert "no answer from ClickHouse" in answer.json()["detail"]


def test_rows_of_before_this_version_are_read(store: Store) -> None:
    old = decision(
        time.time_ns(), "a", "b", id="old", beside_rule=["x"], beside_version=[1],
        beside_allowed=[1], beside_live=[-1],
    )  # fmt: skip
    insert(store, "decisions", [old])
    (said,) = get(store, "/decisions/old").json()["beside"]
    assert said == {
        "rule": "x", "rule_version": 1, "allowed": True, "live": None, "quota_key": ""
    }  # fmt: skip
