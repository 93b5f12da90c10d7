"""Overrides, drafts and the use of quotas over HTTP."""

import asyncio
from typing import Any

import httpx
import pytest

from policy.store import RuleStore
from tests.collector.api import DENY, QUOTA, Api, refused

USERS = QUOTA | {"dimensions": ["source.service", 'request.headers["x-user"] | "anonymous"']}
BATCH = {"name": "batch", "when": {"source.service": "batch*"}, "limit": 5, "window": 3600}
ANN = {"name": "ann", "when": {'request.headers["x-user"] | "anonymous"': "ann"}, "unlimited": True}
WHY = {"reason": "a retry storm"}


async def ask(client: httpx.AsyncClient, user: str = "ann", hits: int = 1) -> dict[str, Any]:
    attributes = {
        "source.service": "a",
        "destination.service": "b",
        "request.headers": {"x-user": user},
    }
    question = {"attributes": attributes, "hits": hits}
    answer: dict[str, Any] = (await client.post("/check", json=question)).raise_for_status().json()
    return answer


def test_an_override_is_made_read_replaced_and_removed(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=USERS)
        made = await client.post("/quotas/calm/overrides", json=BATCH, headers={"if-match": '"1"'})
        assert (made.status_code, made.headers["etag"]) == (201, '"2"')
        assert made.headers["location"] == "/api/v1/quotas/calm/overrides/batch"
        assert made.json()["limit"] == 5
        assert (await client.get(made.headers["location"].removeprefix("/api/v1"))).json() == (
            made.json()
        )
        await client.post("/quotas/calm/overrides", json=ANN)
        there = await client.get("/quotas/calm/overrides")
        assert [override["name"] for override in there.json()] == ["ann", "batch"]
        assert (there.headers["etag"], there.headers["x-total-count"]) == ('"3"', "2")
        first = await client.get("/quotas/calm/overrides?limit=1")
        assert [override["name"] for override in first.json()] == ["ann"]
        rest = await client.get(first.links["next"]["url"].removeprefix("/api/v1"))
        assert ([override["name"] for override in rest.json()], rest.links) == (["batch"], {})

        more = await client.put("/quotas/calm/overrides/batch", json=BATCH | {"limit": 9})
        assert (more.status_code, more.json()["limit"]) == (200, 9)
        gone = await client.delete("/quotas/calm/overrides/batch", headers={"if-match": '"4"'})
        assert (gone.status_code, gone.headers["etag"]) == (204, '"5"')
        rule = (await client.get("/rules/calm")).json()
        assert [override["name"] for override in rule["overrides"]] == ["ann"]
        actions = [version["action"] for version in (await client.get("/versions")).json()]
        assert actions == ["override", "override", "override", "override", "create"]

    api(body)


def test_an_override_is_in_force_at_once(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=USERS)
        assert not (await ask(client, hits=3))["allowed"]
        await client.post("/quotas/calm/overrides", json=ANN)
        answer = await ask(client, hits=3)
        assert (answer["allowed"], answer["override"]) == (True, "ann")
        assert not (await ask(client, "bob", hits=3))["allowed"]

    api(body)


def test_a_bad_override_is_refused_with_its_place(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=USERS)
        await client.post("/quotas/calm/overrides", json=ANN)
        path = "/quotas/calm/overrides"
        for fields, place in (
            ({"limit": 0}, "/limit"),
            ({"window": -1}, "/window"),
            ({"name": "Not A Label"}, "/name"),
            ({"when": {}}, "/when"),
            ({"when": {"source.user": "ann"}}, "/when/source.user"),
            ({"unlimited": True}, "/limit"),
            ({"color": "red"}, "/color"),
        ):
            refused(await client.post(path, json=BATCH | fields), 422, place)
        refused(await client.post(path, json=[]), 422)
        refused(await client.post(path, json={}), 422, "/name")
        refused(await client.post(path, json=ANN), 409)
        refused(await client.put(f"{path}/ann", json=BATCH), 422, "/name")
        refused(await client.put(f"{path}/ann", json=ANN | {"limit": 1}), 422, "/limit")
        refused(await client.put(f"{path}/none", json=ANN), 404)
        refused(await client.delete(f"{path}/none"), 404)
        refused(await client.get(f"{path}/none"), 404)
        stale = {"if-match": '"1"'}
        refused(await client.post(path, json=BATCH, headers=stale), 412)
        refused(await client.delete(f"{path}/ann", headers=stale), 412)
        assert (await client.get("/rules/calm")).headers["etag"] == '"2"'

    api(body)


def test_parts_belong_to_quotas_only(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=DENY)
        for name in ("no", "nobody"):
            refused(await client.get(f"/quotas/{name}/overrides"), 404)
            refused(await client.post(f"/quotas/{name}/overrides", json=BATCH), 404)
            refused(await client.post(f"/quotas/{name}/draft", json={"limit": 1, "window": 1}), 404)
            refused(await client.post(f"/quotas/{name}/promote"), 404)
            refused(await client.get(f"/quotas/{name}/usage"), 404)
            refused(await client.post(f"/quotas/{name}/reset", json=WHY | {"key": []}), 404)
        assert len((await client.get("/versions")).json()) == 1

    api(body)


def test_a_draft_is_set_and_becomes_the_limit_in_one_change(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=QUOTA | {"limit": 100})
        draft = {"limit": 1, "window": 60, "algorithm": "rolling-window", "tick": 1}
        answer = await client.post("/quotas/calm/draft", json=draft)
        assert answer.json()["draft"]["limit"] == 1
        assert (await ask(client, hits=2))["allowed"]
        promoted = (await client.post("/quotas/calm/promote", headers={"if-match": '"2"'})).json()
        assert promoted["draft"] is None
        assert {name: promoted[name] for name in draft} == draft
        assert promoted["version"] == 3
        assert not (await ask(client, hits=2))["allowed"]
        (last, *_) = (await client.get("/versions")).json()
        assert (last["version"], last["action"]) == (3, "promote")
        refused(await client.post("/quotas/calm/promote"), 404)

    api(body)


def test_a_draft_of_several_limits_replaces_a_single_one(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=QUOTA | {"algorithm": "token-bucket", "burst": 3})
        limits = [{"limit": 1, "window": 1}, {"limit": 5, "window": 60}]
        await client.post("/quotas/calm/draft", json={"limits": limits})
        promoted = (await client.post("/quotas/calm/promote")).json()
        assert (promoted["limit"], promoted["burst"]) == (None, None)
        assert [limit["limit"] for limit in promoted["limits"]] == [1, 5]
        await client.post("/quotas/calm/draft", json={"limit": 7, "window": 1})
        promoted = (await client.post("/quotas/calm/promote")).json()
        assert (promoted["limit"], promoted["limits"]) == (7, [])

    api(body)


def test_a_draft_is_forgotten(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=QUOTA)
        refused(await client.delete("/quotas/calm/draft"), 404)
        for bad, place in (({"limit": 0, "window": 1}, "/limit"), ({"limit": 1}, "/window")):
            refused(await client.post("/quotas/calm/draft", json=bad), 422, place)
        await client.post("/quotas/calm/draft", json={"limit": 1, "window": 1})
        assert (await client.delete("/quotas/calm/draft")).status_code == 204
        assert (await client.get("/rules/calm")).json()["draft"] is None

    api(body)


def test_the_most_used_counters_are_listed_with_those_of_overrides_and_drafts(api: Api) -> None:
    batch = BATCH | {"when": ANN["when"] | {"source.service": "a*"}}

    async def body(client: httpx.AsyncClient) -> None:
        draft = {"limit": 1, "window": 3600, "algorithm": "fixed-window"}
        users = USERS | {"limit": 10, "draft": draft, "overrides": [batch]}
        await client.post("/rules", json=users)
        assert (await client.get("/quotas/calm/usage")).json() == {
            "rule_version": 1,
            "complete": True,
            "consumers": [],
        }
        for user, hits in (("zoe", 7), ("bob", 2), ("ann", 4)):
            await ask(client, user, hits)
        await ask(client, "cid", 1)
        found = (await client.get("/quotas/calm/usage")).json()
        assert found["complete"]
        assert [
            (use["key"], use["limit_id"], use["used"], use["limit"], use["remaining"])
            for use in found["consumers"]
        ] == [
            ("a, zoe", "0", 7, 10, 3),
            ("a, ann", "batch.0", 4, 5, 1),
            ("a, bob", "0", 2, 10, 8),
            ("a, cid", "0", 1, 10, 9),
            ("a, cid", "draft-0", 1, 1, 0),
        ]
        assert all(0 < use["reset_us"] <= 3_600_000_000 for use in found["consumers"])
        top = (await client.get("/quotas/calm/usage?top=1")).json()
        assert [use["key"] for use in top["consumers"]] == ["a, zoe"]
        refused(await client.get("/quotas/calm/usage?top=0"), 422, "/top")

    api(body)


def test_a_counter_is_reset_and_granted_to_with_a_reason_in_the_log(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=USERS | {"limit": 10})
        await ask(client, "ann", 10)
        key = {"key": ["a", "ann"]}
        who = {"x-meshmeter-actor": "eve"}
        asked = WHY | key | {"amount": 3}
        granted = await client.post("/quotas/calm/grant", json=asked, headers=who)
        assert granted.json()["override"] == ""
        before, after = (granted.json()[when][0] for when in ("before", "after"))
        assert (before["limit_id"], before["remaining"], after["remaining"]) == ("0", 0, 3)
        assert (await ask(client, "ann", 3))["allowed"]
        assert not (await ask(client, "ann"))["allowed"]
        reset = (await client.post("/quotas/calm/reset", json=WHY | key)).json()
        assert [reset[when][0]["remaining"] for when in ("before", "after")] == [0, 10]
        assert (await ask(client, "ann", 10))["allowed"]

        last, first = (await client.get("/audit?resource=counter")).json()
        assert (first["action"], first["actor"], first["reason"]) == ("grant", "eve", WHY["reason"])
        assert (first["name"], first["version"]) == ("calm", None)
        assert first["before"] == {"key": ["a", "ann"], "counters": granted.json()["before"]}
        assert (last["action"], last["after"]["counters"]) == ("reset", reset["after"])
        assert len((await client.get("/versions")).json()) == 1

    api(body)


def test_no_more_is_given_back_than_was_used(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=QUOTA | {"limit": 10})
        await ask(client, hits=2)
        asked = WHY | {"key": [], "amount": 10**15}
        (after,) = (await client.post("/quotas/calm/grant", json=asked)).json()["after"]
        assert after["remaining"] == 10
        assert not (await ask(client, hits=11))["allowed"]

    api(body)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"reason": ""}, "/reason"),
        ({"reason": None}, "/reason"),
        ({"key": ["a"]}, "/key"),
        ({"key": ["a", "b", "c"]}, "/key"),
        ({"key": ["a", 1]}, "/key/1"),
        ({"key": "a"}, "/key"),
        ({"amount": 0}, "/amount"),
        ({"amount": -5}, "/amount"),
        ({"amount": 2**60}, "/amount"),
        ({"color": "red"}, "/color"),
    ],
)
def test_a_bad_grant_is_refused_with_its_place_and_not_logged(
    api: Api, fields: dict[str, Any], place: str
) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=USERS)
        asked = WHY | {"key": ["a", "ann"], "amount": 1}
        refused(await client.post("/quotas/calm/grant", json=asked | fields), 422, place)
        assert (await client.get("/audit?resource=counter")).json() == []

    api(body)


def test_of_many_edits_of_overrides_each_is_kept_or_refused(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=USERS)
        answers = await asyncio.gather(
            *(
                client.post("/quotas/calm/overrides", json=BATCH | {"name": f"o{number}"})
                for number in range(20)
            )
        )
        assert [answer.status_code for answer in answers] == [201] * 20
        rule = (await client.get("/rules/calm")).json()
        assert len(rule["overrides"]) == 20
        assert rule["version"] == 21

    api(body)


def test_without_the_rule_database_parts_are_refused_for_now(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        refused(await client.get("/quotas/calm/overrides"), 503)
        refused(await client.post("/quotas/calm/promote"), 503)

    api(body, RuleStore("postgresql://127.0.0.1:1/none"))
