import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from collector.api.bodies import MAX_BODY
from collector.api.lists import lists_router
from policy.store import RuleStore
from tests.collector.api import Api, refused
from tests.collector.list_source import Source, source, text
from tests.collector.policy_parts import rule_store

VIPS = {"name": "vips", "entry_type": "literal", "entries": ["ann", "bob"]}
GATE = {"kind": "list", "name": "gate", "type": "allow", "value": "source.user", "list": "vips"}


@pytest.fixture
def served() -> Iterator[Source]:
    with source() as running:
        yield running


async def allowed(client: httpx.AsyncClient, user: str) -> bool:
    question = {"attributes": {"source.user": user}}
    return bool((await client.post("/check", json=question)).json()["allowed"])


def test_a_list_is_made_read_replaced_changed_and_deleted(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        made = await client.post("/lists", json=VIPS)
        assert (made.status_code, made.headers["etag"]) == (201, '"1"')
        assert made.headers["location"] == "/api/v1/lists/vips"
        assert (made.json()["refresh"], made.json()["ttl"], made.json()["url"]) == (60, 300, None)
        read = await client.get("/lists/vips")
        assert (read.json(), read.headers["etag"]) == (made.json(), '"1"')

        replaced = await client.put(
            "/lists/vips", json=made.json() | {"entries": ["carl"]}, headers={"if-match": '"1"'}
        )
        assert (replaced.status_code, replaced.json()["entries"]) == (200, ["carl"])

        changed = await client.patch("/lists/vips", json={"case_insensitive": True})
        assert (changed.headers["etag"], changed.json()["entries"]) == ('"3"', ["carl"])

        await client.post("/lists", json=VIPS | {"name": "bad"})
        lines = (await client.get("/lists")).json()
        assert [(line["name"], line["length"]) for line in lines] == [("bad", 2), ("vips", 1)]
        assert "entries" not in lines[0]
        assert (await client.delete("/lists/vips")).status_code == 204
        refused(await client.get("/lists/vips"), 404)

    api(body)


def test_a_change_of_a_list_is_in_force_when_it_is_answered(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/lists", json=VIPS)
        await client.post("/rules", json=GATE)
        assert [await allowed(client, user) for user in ("ann", "carl")] == [True, False]
        await client.patch("/lists/vips", json={"entries": ["carl"]})
        assert [await allowed(client, user) for user in ("ann", "carl")] == [False, True]

    api(body)


def test_a_list_with_a_source_is_fetched_when_it_is_made(api: Api, served: Source) -> None:
    served.answer = text("ann\nann\n", etag='"7"')

    async def body(client: httpx.AsyncClient) -> None:
        await client.post(
            "/lists", json={"name": "vips", "entry_type": "literal", "url": served.url}
        )
        status = (await client.get("/lists/vips/status")).json()
        assert (status["available"], status["entries"], status["etag"]) == (True, 2, '"7"')
        assert status["notes"] == ["/entries/1 repeats /entries/0"]
        assert (status["version"], status["source"], status["error"]) == (1, served.url, "")
        assert status["age"] >= 0
        (line,) = (await client.get("/lists")).json()
        assert (line["url"], line["length"]) == (served.url, None)

    api(body)


def test_a_source_that_fails_is_told_by_the_status(api: Api, served: Source) -> None:
    served.answer = text("", 500)

    async def body(client: httpx.AsyncClient) -> None:
        made = {"name": "vips", "entry_type": "literal", "url": served.url}
        assert (await client.post("/lists", json=made)).status_code == 201
        await client.post("/rules", json=GATE)
        assert not await allowed(client, "ann")
        status = (await client.get("/lists/vips/status")).json()
        assert (status["available"], status["error"]) == (False, "answers 500")
        assert (status["unanswered"], status["stale"]) == (1, True)
        answer = (await client.post("/lists/vips/test", json={"value": "ann"})).json()
        assert answer == {"available": False, "on_list": False, "entry": None}

    api(body)


def test_a_value_is_tried_and_the_entry_named(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/lists", json=VIPS | {"entry_type": "prefix", "entries": ["/api/"]})
        networks = {"name": "nets", "entry_type": "cidr", "entries": ["10.0.0.0/8"]}
        await client.post("/lists", json=networks)

        async def tried(name: str, value: str) -> dict[str, Any]:
            answer = await client.post(f"/lists/{name}/test", json={"value": value})
            found: dict[str, Any] = answer.json()
            return found

        on = {"available": True, "on_list": True}
        assert await tried("vips", "/api/x") == on | {"entry": "/api/"}
        assert await tried("nets", "10.1.2.3") == on | {"entry": "10.0.0.0/8"}
        off = {"available": True, "on_list": False, "entry": None}
        assert await tried("vips", "/x") == off
        assert await tried("nets", "11.1.2.3") == off
        refused(await client.post("/lists/vips/test", json={"value": 1}), 422, "/value")
        refused(await client.post("/lists/vips/test", json={}), 422, "/value")
        refused(await client.post("/lists/vips/test", json={"value": "x" * 65_537}), 422, "/value")

    api(body)


def test_a_rule_cannot_ask_a_list_that_is_not_there(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        problem = refused(await client.post("/rules", json=GATE), 422, "/list")
        assert problem["reason"] == "there is no list 'vips'"

    api(body)


def test_a_list_that_rules_ask_is_not_deleted_and_they_are_named(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/lists", json=VIPS)
        for name in ("gate", "other"):
            await client.post("/rules", json=GATE | {"name": name, "mode": "disabled"})
        problem = refused(await client.delete("/lists/vips"), 409)
        assert problem["reason"] == "list 'vips' is used by rule gate, other"
        for name in ("gate", "other"):
            await client.delete(f"/rules/{name}")
        assert (await client.delete("/lists/vips")).status_code == 204

    api(body)


def test_a_name_of_a_list_that_is_taken_or_unknown_is_refused(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/lists", json=VIPS)
        refused(await client.post("/lists", json=VIPS), 409)
        other = "/lists/other"
        refused(await client.get(other), 404)
        refused(await client.put(other, json=VIPS | {"name": "other"}), 404)
        refused(await client.patch(other, json={}), 404)
        refused(await client.delete(other), 404)
        refused(await client.delete(other, headers={"if-match": "x"}), 404)
        refused(await client.get(f"{other}/status"), 404)
        refused(await client.post(f"{other}/test", json={"value": "a"}), 404)

    api(body)


def test_of_two_edits_of_one_version_of_a_list_the_later_is_refused(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/lists", json=VIPS)
        edits = await asyncio.gather(
            *(
                client.patch(
                    "/lists/vips", json={"entries": [f"n{number}"]}, headers={"if-match": '"1"'}
                )
                for number in range(5)
            )
        )
        assert sorted(answer.status_code for answer in edits) == [200, 412, 412, 412, 412]
        for stale in ('"1"', '"x"', "nonsense", '"99999999999999999999"'):
            problem = refused(await client.delete("/lists/vips", headers={"if-match": stale}), 412)
            assert problem["reason"].startswith("list 'vips' is at version 2")
        anyway = await client.delete("/lists/vips", headers={"if-match": "*"})
        assert anyway.status_code == 204

    api(body)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"name": "No Label"}, "/name"),
        ({"name": None}, "/name"),
        ({"entry_type": "glob"}, "/entry_type"),
        ({"entries": None}, "/entries"),
        ({"entries": "ann"}, "/entries"),
        ({"entries": ["ann", ""]}, "/entries/1"),
        ({"entries": ["ann", 1]}, "/entries/1"),
        ({"entries": ["a\u200bnn"]}, "/entries/0"),
        ({"entry_type": "regex", "entries": ["a", "("]}, "/entries/1"),
        ({"entry_type": "cidr", "entries": ["10.0.0.0/8", "x"]}, "/entries/1"),
        ({"entries": ["x"] * 100_001}, "/entries"),
        ({"url": "http://lists.example"}, "/url"),
        ({"entries": None, "url": "http://169.254.169.254/"}, "/url"),
        ({"entries": None, "url": "http://10.0.0.1/"}, "/url"),
        ({"entries": None, "url": "gopher://lists.example"}, "/url"),
        ({"entries": None, "file": "vips.txt"}, "/file"),
        ({"refresh": 0}, "/refresh"),
        ({"refresh": 61, "ttl": 60}, "/ttl"),
        ({"case_insensitive": "yes"}, "/case_insensitive"),
        ({"owner": "ann"}, "/owner"),
    ],
)
def test_a_bad_list_is_refused_with_its_place(api: Api, fields: dict[str, Any], place: str) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/lists", json=VIPS | {"name": "there"})
        refused(await client.post("/lists", json=VIPS | fields), 422, place)
        refused(await client.put("/lists/there", json=VIPS | fields), 422, place)
        refused(await client.patch("/lists/there", json=fields), 422, place)
        assert (await client.get("/lists/there")).headers["etag"] == '"1"'
        assert len((await client.get("/lists")).json()) == 1

    api(body)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b"null", 422),
        (b"[" * 200_000, 422),
        (b'{"\xc3\x28": 1}', 422),
        (b'{"refresh": NaN}', 422),
        (b'{"refresh": 1e400}', 422),
        (b" " * (MAX_BODY + 1), 413),
    ],
    ids=["empty", "cut", "array", "null", "deep", "not UTF-8", "NaN", "infinite", "large"],
)
def test_a_body_that_is_no_list_is_a_problem_too(api: Api, content: bytes, status: int) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        for answer in (
            await client.post("/lists", content=content),
            await client.patch("/lists/vips", content=content),
        ):
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"

    api(body)


def test_a_list_that_is_in_the_database_only_is_told_so(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/lists", json=VIPS)
        other = rule_store(api.directory)
        await asyncio.to_thread(other.lists.update, "vips", lambda old: old)
        await asyncio.to_thread(
            other.lists.create, other.lists.get("vips").model_copy(update={"name": "new"})
        )
        other.close()
        status = (await client.get("/lists/new/status")).json()
        assert (status["version"], status["available"]) == (0, False)
        assert status["error"] == "not in force in this collector yet"
        answer = (await client.post("/lists/new/test", json={"value": "ann"})).json()
        assert not answer["available"]
        assert (await client.get("/lists/vips/status")).json()["version"] == 1

    api(body)


def test_without_the_rule_database_changes_of_lists_are_refused_for_now(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        for answer in (
            await client.get("/lists"),
            await client.post("/lists", json=VIPS),
            await client.patch("/lists/vips", json={"ttl": 60}),
            await client.delete("/lists/vips"),
            await client.get("/lists/vips/status"),
        ):
            refused(answer, 503)

    api(body, RuleStore("postgresql://127.0.0.1:1/none"))


def test_every_operation_on_lists_is_described() -> None:
    app = FastAPI()
    router: Any = lists_router(None, None, None)  # type: ignore[arg-type]  # only described
    app.include_router(router)
    described = app.openapi()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], f"{method} {path}"
            assert "422" in operation["responses"]
    put = described["paths"]["/api/v1/lists/{name}"]["put"]
    schema = put["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/NamedList"}
    assert "entries" in described["components"]["schemas"]["NamedList"]["properties"]
