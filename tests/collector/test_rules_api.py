import asyncio
import json
from typing import Any

import httpx
import pytest

from policy.store import RuleStore
from tests.collector.api import A_TO_B, DENY, QUOTA, Api, refused


def test_a_rule_is_made_read_replaced_changed_and_deleted(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        made = await client.post("/rules", json=QUOTA)
        assert (made.status_code, made.headers["etag"]) == (201, '"1"')
        assert made.headers["location"] == "/api/v1/rules/calm"
        assert made.json()["dimensions"] == []
        assert (await client.get("/rules/calm")).json() == made.json()

        read = made.json() | {"limit": 5}
        replaced = await client.put("/rules/calm", json=read, headers={"if-match": '"1"'})
        assert (replaced.status_code, replaced.json()["limit"]) == (200, 5)

        changed = await client.patch("/rules/calm", json={"limit": 7, "priority": 3})
        assert (changed.headers["etag"], changed.json()["limit"]) == ('"3"', 7)
        assert changed.json()["algorithm"] == "fixed-window"

        await client.post("/rules", json=DENY)
        assert [rule["name"] for rule in (await client.get("/rules")).json()] == ["calm", "no"]
        assert (await client.delete("/rules/calm")).status_code == 204
        refused(await client.get("/rules/calm"), 404)

    api(body)


def test_a_change_is_in_force_when_it_is_answered(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        async def allowed() -> bool:
            return bool((await client.post("/check", json=A_TO_B)).json()["allowed"])

        await client.post("/rules", json=QUOTA | {"limit": 1})
        assert [await allowed() for _ in range(2)] == [True, False]
        await client.post("/rules/calm/disable")
        assert await allowed()
        await client.post("/rules/calm/enable")
        assert not await allowed()
        await client.patch("/rules/calm", json={"limit": 2})
        assert await allowed()
        assert (await client.get("/snapshot")).json() == {"version": 4, "failing": ""}

    api(body)


def test_a_check_says_which_rule_decided_and_why(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=DENY | {"message": "closed"})
        question = {"attributes": {"destination.service": "c"}}
        answer = (await client.post("/check", json=question)).json()
        assert (answer["allowed"], answer["rule"], answer["rule_version"]) == (False, "no", 1)
        assert (answer["http_status"], answer["reason"]) == (451, "closed")

    api(body)
    assert [record["protocol"] for record in api.reports.records] == ["api"]


def test_a_check_charges_by_its_hits(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=QUOTA | {"limit": 10})
        for hits, remaining in ((7, 3), (0, 3), (3, 0)):
            answer = (await client.post("/check", json=A_TO_B | {"hits": hits})).json()
            assert answer["remaining"] == remaining

    api(body)


def test_a_rule_is_validated_without_being_kept(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        answer = await client.post("/rules/validate", json=QUOTA)
        assert answer.json() == {
            "valid": True,
            "kind": "quota",
            "reads": ["source.service", "destination.service"],
            "destination": "b",
            "cautions": [],
        }
        disguised = QUOTA | {"match": 'source.service == "\u0440aypal"'}
        answer = await client.post("/rules/validate", json=disguised)
        assert answer.json()["cautions"] == ["mixed scripts: 'source.service == \"\\u0440aypal\"'"]
        assert (await client.get("/rules")).json() == []

    api(body)


def test_a_bad_expression_is_told_with_its_line_and_column(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        bad = QUOTA | {"match": 'source.service == "a" &&\n  surce.user == "b"'}
        problem = refused(await client.post("/rules", json=bad), 422, "/match")
        assert (problem["line"], problem["column"]) == (2, 3)
        assert problem["reason"] == "unknown attribute surce.user; did you mean source.user?"
        typed = QUOTA | {"dimensions": ["source.service", "source.user | 1"]}
        problem = refused(await client.post("/rules", json=typed), 422, "/dimensions/1")
        assert (problem["line"], problem["column"]) == (1, 15)
        assert "expected STRING" in problem["reason"]

    api(body)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"limit": 0}, "/limit"),
        ({"limit": -5}, "/limit"),
        ({"limit": 2**53}, "/limit"),
        ({"limit": "10"}, "/limit"),
        ({"limit": 1.5}, "/limit"),
        ({"limit": True}, "/limit"),
        ({"window": 0}, "/window"),
        ({"window": "1s"}, "/window"),
        ({"name": "Not A Label"}, "/name"),
        ({"name": None}, "/name"),
        ({"algorithm": "leaky"}, "/algorithm"),
        ({"on_backend_error": "maybe"}, "/on_backend_error"),
        ({"dimensions": "source.service"}, "/dimensions"),
        ({"dimensions": ["source.service", 1]}, "/dimensions/1"),
        ({"burst": 5}, "/burst"),
        ({"kind": "throttle"}, "/kind"),
        ({"http_status": 200}, "/http_status"),
        ({"match": "(" * 40 + "true" + ")" * 40}, "/match"),
        ({"match": "true || " * 1000 + "true"}, "/match"),
        ({"match": 'request.path.matches("(")'}, "/match"),
    ],
)
def test_a_bad_rule_is_refused_with_its_place(api: Api, fields: dict[str, Any], place: str) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        for path in ("/rules", "/rules/validate"):
            refused(await client.post(path, json=QUOTA | fields), 422, place)
        assert (await client.get("/rules")).json() == []

    api(body)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b"null", 422),
        (b'{"kind": "quota", "limit": ' + b"9" * 5000 + b"}", 400),
        (b"[" * 200_000, 400),
        (b'{"\xc3\x28": 1}', 400),
    ],
)
def test_a_body_that_is_no_rule_is_a_problem_too(api: Api, content: bytes, status: int) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        answer = await client.post(
            "/rules", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"

    api(body)


def test_windows_that_are_no_numbers_are_refused(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        for word in (b"NaN", b"Infinity", b"1e400"):
            content = json.dumps(QUOTA).encode().replace(b"3600", word)
            answer = await client.post(
                "/rules", content=content, headers={"content-type": "application/json"}
            )
            refused(answer, 422, "/window")

    api(body)


def test_a_change_that_makes_a_bad_rule_changes_nothing(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=QUOTA)
        for fields, place in (
            ({"limit": None}, "/limit"),
            ({"match": "nonsense"}, "/match"),
            ({"name": "other"}, "/name"),
            ({"http_status": 200}, "/http_status"),
            ({"burst": 9}, "/burst"),
        ):
            refused(await client.patch("/rules/calm", json=fields), 422, place)
        other = QUOTA | {"name": "other"}
        refused(await client.put("/rules/calm", json=other), 422, "/name")
        assert (await client.get("/rules/calm")).headers["etag"] == '"1"'

    api(body)


def test_a_name_that_is_taken_is_refused(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=QUOTA)
        refused(await client.post("/rules", json=DENY | {"name": "calm"}), 409)

    api(body)


def test_a_name_that_is_unknown_is_refused(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        refused(await client.get("/rules/calm"), 404)
        refused(await client.put("/rules/calm", json=QUOTA), 404)
        refused(await client.patch("/rules/calm", json={}), 404)
        refused(await client.delete("/rules/calm"), 404)
        refused(await client.post("/rules/calm/enable"), 404)
        refused(await client.delete("/rules/calm", headers={"if-match": "x"}), 404)

    api(body)


def test_of_two_edits_of_one_version_the_later_is_refused(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=QUOTA)
        edits = await asyncio.gather(
            *(
                client.patch("/rules/calm", json={"limit": limit}, headers={"if-match": '"1"'})
                for limit in range(3, 8)
            )
        )
        assert sorted(answer.status_code for answer in edits) == [200, 412, 412, 412, 412]
        for stale in ('"1"', '"x"', "nonsense", '"99999999999999999999"'):
            refused(await client.delete("/rules/calm", headers={"if-match": stale}), 412)
        anyway = await client.post("/rules/calm/disable", headers={"if-match": "*"})
        assert anyway.status_code == 200

    api(body)


@pytest.mark.parametrize(
    ("question", "place"),
    [
        ({"attributes": {"no.such": "a"}}, "/attributes/no.such"),
        ({"attributes": {"destination.port": "80"}}, "/attributes/destination.port"),
        ({"attributes": {"a/b": 1}}, "/attributes/a~1b"),
        ({"attributes": {}, "hits": -1}, "/hits"),
        ({"attributes": {}, "hits": 2**32}, "/hits"),
        ({"attributes": []}, "/attributes"),
        ({}, "/attributes"),
    ],
)
def test_a_bad_question_is_refused_with_its_place(
    api: Api, question: dict[str, Any], place: str
) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        refused(await client.post("/check", json=question), 422, place)

    api(body)


def test_without_the_rule_database_changes_are_refused_for_now(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        for answer in (
            await client.get("/rules"),
            await client.post("/rules", json=QUOTA),
            await client.delete("/rules/calm"),
            await client.post("/check", json=A_TO_B),
        ):
            refused(answer, 503)
            assert answer.headers["retry-after"] == "1"
        answer = (await client.get("/snapshot")).json()
        assert answer["version"] == -1
        assert answer["failing"]

    api(body, RuleStore("postgresql://127.0.0.1:1/none"))


def test_a_request_that_is_over_is_released_through_the_api(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=QUOTA | {"algorithm": "concurrency", "limit": 1})

        async def check() -> Any:
            return (await client.post("/check", json=A_TO_B)).json()

        first = await check()
        assert [first["allowed"], (await check())["allowed"]] == [True, False]
        released = [
            (await client.post("/release", json={"lease": first["lease"]})).json() for _ in range(2)
        ]
        assert released == [{"released": 1}, {"released": 0}]
        assert (await check())["allowed"]
        refused(await client.post("/release", json={"lease": ""}), 422, "/lease")

    api(body)


def test_best_effort_and_retries_are_asked_for_through_the_api(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/rules", json=QUOTA | {"limit": 5})

        async def granted(**asked: Any) -> int:
            answer = (await client.post("/check", json=A_TO_B | asked)).json()
            return int(answer["granted"])

        assert await granted(hits=3, dedup_id="one") == 3
        assert await granted(hits=3, dedup_id="one") == 3  # nothing was charged again
        assert await granted(hits=3) == 0
        assert await granted(hits=3, best_effort=True) == 2

    api(body)
