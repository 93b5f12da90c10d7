"""Versions, rollback and the audit log over HTTP."""

import asyncio
import json
from typing import Any

import httpx

from policy.store import RuleStore
from tests.collector.api import DENY, QUOTA, Api, refused

ANN = {"x-meshmeter-actor": "ann", "x-meshmeter-reason": "because"}
WHY = {"reason": "as it was"}


async def all_pages(client: httpx.AsyncClient, path: str) -> tuple[list[Any], list[int], set[str]]:
    """Items, how many were on each page, and the totals told."""
    items: list[Any] = []
    sizes, totals = [], set()
    while path:
        answer = (await client.get(path)).raise_for_status()
        items += answer.json()
        sizes.append(len(answer.json()))
        totals.add(answer.headers.get("x-total-count", ""))
        path = answer.links.get("next", {}).get("url", "").removeprefix("/api/v1")
    return items, sizes, totals


def test_every_version_can_be_read(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        made = (await client.post("/rules", json=QUOTA, headers=ANN)).json()
        await client.patch("/rules/calm", json={"limit": 9})
        await client.delete("/rules/calm")
        (deleted, updated, created) = (await client.get("/versions")).json()
        assert (created["version"], created["actor"], created["reason"]) == (1, "ann", "because")
        assert (created["action"], created["changes"]) == ("create", 1)
        assert created["touched"] == [{"resource": "rule", "name": "calm", "change": "added"}]
        assert (updated["action"], updated["actor"], updated["peer"]) == (
            "update",
            *["127.0.0.1"] * 2,
        )
        assert deleted["time"] > updated["time"] > created["time"]
        first = (await client.get("/versions/1")).json()
        assert first == created | {"rules": [made], "lists": []}
        assert (await client.get("/versions/2")).json()["rules"][0]["limit"] == 9
        assert (await client.get("/versions/3")).json()["rules"] == []
        empty = (await client.get("/versions/0")).json()
        assert (empty["time"], empty["rules"]) == (None, [])
        refused(await client.get("/versions/4"), 404)
        for bad in ("-1", "x", "2147483648"):
            refused(await client.get(f"/versions/{bad}"), 422, "/version")

    api(body)


def test_two_versions_are_compared_field_by_field(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=QUOTA)
        await client.post("/rules", json=DENY)
        await client.patch("/rules/calm", json={"limit": 9, "priority": 3})
        await client.delete("/rules/no")
        calm, no = (await client.get("/versions/2/diff/4")).json()
        assert calm == {
            "resource": "rule",
            "name": "calm",
            "change": "changed",
            "before": None,
            "after": None,
            "fields": [
                {"place": "/limit", "before": 2, "after": 9},
                {"place": "/priority", "before": 0, "after": 3},
            ],
        }
        assert (no["change"], no["before"]["http_status"], no["after"]) == ("removed", 451, None)
        (added,) = (await client.get("/versions/0/diff/1")).json()
        assert (added["change"], added["after"]["limit"]) == ("added", 2)
        refused(await client.get("/versions/2/diff/5"), 404)

    api(body)


def test_a_rollback_is_in_force_at_once_and_can_be_rolled_back(api: Api) -> None:
    question = {"attributes": {"destination.service": "c"}}

    async def body(client: httpx.AsyncClient) -> None:
        async def allowed() -> bool:
            return bool((await client.post("/check", json=question)).json()["allowed"])

        await client.post("/rules", json=DENY)
        await client.delete("/rules/no")
        assert await allowed()
        answer = await client.post("/versions/1/rollback", json=WHY, headers=ANN)
        assert (answer.status_code, answer.headers["etag"]) == (200, '"3"')
        made = answer.json()
        assert (made["version"], made["action"], made["actor"]) == (3, "rollback", "ann")
        assert made["reason"] == "as it was"
        assert not await allowed()
        assert (await client.get("/rules/no")).json()["version"] == 2
        await client.post("/versions/2/rollback", json=WHY)
        assert await allowed()
        same = await client.post("/versions/0/rollback", json=WHY)
        assert (same.json()["version"], same.json()["action"]) == (4, "rollback")

    api(body)


def test_a_rollback_wants_a_reason_and_the_version_it_is_based_on(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=DENY)
        at_once = client.post("/versions/0/rollback", json=WHY, headers={"if-match": '"0"'})
        refused(await at_once, 412)
        refused(await client.post("/versions/0/rollback", json={}), 422, "/reason")
        refused(await client.post("/versions/0/rollback", json={"reason": ""}), 422, "/reason")
        refused(await client.post("/versions/7/rollback", json=WHY), 404)
        etag = (await client.get("/rules")).headers["etag"]
        rolled = await client.post("/versions/0/rollback", json=WHY, headers={"if-match": etag})
        assert rolled.status_code == 200
        assert (await client.get("/rules")).json() == []

    api(body)


def test_of_many_rollbacks_from_one_version_one_wins(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=DENY)
        answers = await asyncio.gather(
            *(
                client.post("/versions/0/rollback", json=WHY, headers={"if-match": '"1"'})
                for _ in range(20)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19

    api(body)


def test_rules_are_listed_in_pages_and_filtered(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        for number in range(5):
            await client.post("/rules", json=QUOTA | {"name": f"quota-{number}"})
        await client.post("/rules", json=DENY | {"name": "a%b-no".replace("%", "-")})
        await client.post("/rules/quota-3/shadow")
        names = [rule["name"] for rule in (await client.get("/rules")).json()]
        assert names == ["a-b-no", *(f"quota-{number}" for number in range(5))]
        items, sizes, totals = await all_pages(client, "/rules?limit=2")
        assert [rule["name"] for rule in items] == names
        assert (sizes[:2], totals) == ([2, 2], {"6"})
        quotas = await all_pages(client, "/rules?limit=2&kind=quota&name=uota-&mode=enabled")
        assert [rule["name"] for rule in quotas[0]] == [f"quota-{n}" for n in (0, 1, 2, 4)]
        assert quotas[2] == {"4"}
        assert (await client.get("/rules?name=%25")).json() == []
        assert (await client.get("/rules?name=_")).json() == []
        refused(await client.get("/rules?kind=nonsense"), 422, "/kind")
        refused(await client.get("/rules?mode=on"), 422, "/mode")
        refused(await client.get("/rules?limit=1001"), 422, "/limit")
        refused(await client.get("/rules?name=%00"), 422, "/name")
        refused(await client.get("/rules/%00"), 404)

    api(body)


def test_versions_and_the_audit_log_are_paged_with_true_totals(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        for number in range(7):
            await client.post("/rules", json=QUOTA | {"name": f"q{number}"})
        for path in ("/versions", "/audit"):
            items, sizes, totals = await all_pages(client, f"{path}?limit=3")
            assert [item["version"] for item in items] == [7, 6, 5, 4, 3, 2, 1]
            assert (sizes, totals) == ([3, 3, 1], {"7"})
        differences, sizes, _ = await all_pages(client, "/versions/0/diff/7?limit=3")
        assert [each["name"] for each in differences] == [f"q{number}" for number in range(7)]
        assert sizes == [3, 3, 1]

    api(body)


def test_the_audit_log_says_who_did_what_why_and_when(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        made = (await client.post("/rules", json=QUOTA, headers=ANN)).json()
        changed = (await client.patch("/rules/calm", json={"limit": 9})).json()
        await client.post("/rules", json=DENY)
        refused(await client.post("/rules", json=DENY), 409)
        _, updated, created = (await client.get("/audit")).json()
        assert (created["actor"], created["reason"], created["action"]) == (
            "ann",
            "because",
            "create",
        )
        assert (created["before"], created["after"]) == (None, made)
        assert (updated["before"], updated["after"]) == (made, changed)
        assert (updated["actor"], updated["peer"], updated["name"]) == (
            "127.0.0.1",
            "127.0.0.1",
            "calm",
        )
        for query, count in (
            ("actor=ann", 1),
            ("actor=ANN", 0),
            ("name=calm", 2),
            ("name=calm&action=update", 1),
            ("resource=rule", 3),
            ("resource=counter", 0),
            (f"since={updated['time']}", 2),
            (f"until={updated['time']}", 1),
        ):
            answer = await client.get(f"/audit?{query}")
            assert (len(answer.json()), answer.headers["x-total-count"]) == (count, str(count)), (
                query
            )
        refused(await client.get("/audit?since=yesterday"), 422, "/since")

    api(body)


def test_who_acts_and_why_is_kept_as_it_was_said(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        said = {"x-meshmeter-actor": "Ännchen".encode(), "x-meshmeter-reason": "à propos".encode()}
        await client.post("/rules", json=QUOTA, headers=said)
        (entry,) = (await client.get("/audit")).json()
        assert (entry["actor"], entry["reason"]) == ("Ännchen", "à propos")
        for bad in (b"\xff", "​".encode(), b"x" * 256):
            answer = await client.post("/rules", json=DENY, headers={"x-meshmeter-actor": bad})
            assert "x-meshmeter-actor" in refused(answer, 422)["reason"]
        long = {"x-meshmeter-reason": "x" * 1025}
        refused(await client.post("/rules", json=DENY, headers=long), 422)
        assert (await client.get("/rules/no")).status_code == 404

    api(body)


def test_without_the_rule_database_there_is_no_history_for_now(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        for path in ("/versions", "/versions/1", "/versions/0/diff/1", "/audit"):
            refused(await client.get(path), 503)
        refused(await client.post("/versions/1/rollback", json=WHY), 503)

    api(body, RuleStore("postgresql://127.0.0.1:1/none"))


def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        content = json.dumps(QUOTA | {"description": "x" * 17_000_000}).encode()
        answer = await client.post(
            "/rules", content=content, headers={"content-type": "application/json"}
        )
        refused(answer, 413)
        large = json.dumps(QUOTA | {"description": "x" * 100_000}).encode()
        answer = await client.post(
            "/rules", content=large, headers={"content-type": "application/json"}
        )
        refused(answer, 422, "/description")

    api(body)
