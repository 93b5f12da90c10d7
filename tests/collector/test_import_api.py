"""Import and export as the API's clients see them."""

from typing import Any

import httpx
import pytest

from collector.api.bodies import MAX_BODY
from tests.collector.api import Api, refused

LIMITS = """
domain: shop
descriptors:
- key: user
  rate_limit: {unit: hour, requests_per_unit: 1}
"""
NATIVE = """
rules:
- {kind: list, name: gate, type: allow, value: source.user, list: vips}
lists:
- {name: vips, entry_type: literal, entries: [ann]}
"""
BROKEN = LIMITS + "- {key: other, rate_limit: {unit: fortnight}}\n"
YAML = {"content-type": "application/yaml"}
UNTOUCHED: dict[str, list[str]] = {"made": [], "changed": [], "unchanged": []}


def question(*texts: str, **more: Any) -> dict[str, Any]:
    files = [{"name": f"{number}.yaml", "text": text} for number, text in enumerate(texts)]
    return {"files": files} | more


async def names(client: httpx.AsyncClient) -> list[str]:
    return [rule["name"] for rule in (await client.get("/rules")).json()]


def test_a_file_is_imported_as_it_is_and_in_force_at_once(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        answer = await client.post("/import", content=LIMITS, headers=YAML)
        assert answer.status_code == 200
        assert answer.json() == {
            "stored": True,
            "version": 1,
            "rules": UNTOUCHED | {"made": ["shop-user"]},
            "lists": UNTOUCHED,
            "notes": [],
        }
        descriptor = {"ratelimit.domain": "shop", "ratelimit.keys": "user"}
        asked = {"attributes": descriptor | {"ratelimit.descriptor": {"user": "ann"}}}
        allowed = [(await client.post("/check", json=asked)).json()["allowed"] for _ in range(2)]
        assert allowed == [True, False]

    api(body)


def test_several_files_are_one_import(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        answer = await client.post("/import", json=question(LIMITS, NATIVE, prefix="a"))
        assert answer.json()["rules"]["made"] == ["a-shop-user", "a-gate"]
        assert answer.json()["lists"]["made"] == ["a-vips"]
        assert await names(client) == ["a-gate", "a-shop-user"]

    api(body)


def test_the_same_again_changes_nothing_and_another_limit_does(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/import", json=question(LIMITS))
        again = await client.post("/import", json=question(LIMITS))
        assert again.json()["rules"] == UNTOUCHED | {"unchanged": ["shop-user"]}
        more = LIMITS.replace("requests_per_unit: 1", "requests_per_unit: 2")
        changed = await client.post("/import", json=question(more))
        assert changed.json()["rules"] == UNTOUCHED | {"changed": ["shop-user"]}
        assert (await client.get("/rules/shop-user")).json()["version"] == 2

    api(body)


def test_a_dry_run_stores_nothing(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        answer = await client.post("/import?dry_run=true", content=BROKEN, headers=YAML)
        assert answer.status_code == 200
        told = answer.json()
        assert (told["stored"], told["rules"]["made"]) == (False, ["shop-user"])
        assert "refused" in [note["severity"] for note in told["notes"]]
        assert await names(client) == []

    api(body)


def test_nothing_is_stored_when_a_part_is_refused(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        answer = await client.post("/import", json=question(NATIVE, BROKEN))
        problem = refused(answer, 422)
        assert problem["reason"] == "1 part is refused; nothing is stored"
        (note,) = [note for note in problem["notes"] if note["severity"] == "refused"]
        assert (note["file"], note["document"], note["line"]) == ("1.yaml", 1, 6)
        assert note["path"] == "/descriptors/1/rate_limit"
        assert note["reason"].startswith("unit 'fortnight'")
        assert await names(client) == []

    api(body)


def test_the_rest_is_stored_when_that_is_asked_for(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        answer = await client.post("/import?partial=true", content=BROKEN, headers=YAML)
        assert answer.json()["rules"]["made"] == ["shop-user"]
        assert answer.json()["notes"]
        assert await names(client) == ["shop-user"]

    api(body)


def test_what_is_exported_is_unchanged_when_it_is_imported(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.post("/import", json=question(LIMITS, NATIVE))
        exported = await client.get("/export")
        assert exported.headers["content-type"] == "application/yaml"
        assert exported.headers["etag"] == '"1"'
        again = await client.post("/import", content=exported.text, headers=YAML)
        assert again.json()["rules"] == UNTOUCHED | {"unchanged": ["gate", "shop-user"]}
        assert again.json()["lists"] == UNTOUCHED | {"unchanged": ["vips"]}

    api(body)


@pytest.mark.parametrize("partial", [False, True])
def test_what_the_database_refuses_is_stored_in_no_part(api: Api, partial: bool) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        missing = NATIVE.replace("list: vips", "list: others")
        answer = await client.post("/import", json=question(LIMITS, missing, partial=partial))
        refused(answer, 422, "/gate/list")
        assert await names(client) == []

    api(body)


def test_a_list_that_no_collector_would_fetch_is_refused(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        text = "lists: [{name: bad, entry_type: cidr, url: 'http://169.254.169.254/x'}]"
        refused(await client.post("/import", json=question(text)), 422, "/bad/url")

    api(body)


@pytest.mark.parametrize(
    ("content", "headers", "status", "place"),
    [
        (b"\xff", YAML, 422, ""),
        (b"a" * (MAX_BODY + 1), YAML, 413, ""),
        (b"{", {"content-type": "application/json"}, 422, ""),
        (b"{}", {"content-type": "application/json"}, 422, "/files"),
        (b'{"files": []}', {"content-type": "application/json"}, 422, "/files"),
        (b'{"files": [{"text": 5}]}', {"content-type": "application/json"}, 422, "/files/0/text"),
        (
            b'{"files": [{"text": ""}], "x": 1}',
            {"content-type": "application/json"},
            422,
            "/x",
        ),
        (
            b'{"files": [{"text": ""}], "prefix": "A"}',
            {"content-type": "application/json"},
            422,
            "/prefix",
        ),
        (
            b'{"files": [{"text": ""}], "format": "xml"}',
            {"content-type": "application/json"},
            422,
            "/format",
        ),
    ],
)
def test_what_cannot_be_read_is_a_problem(
    api: Api, content: bytes, headers: dict[str, str], status: int, place: str
) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        refused(await client.post("/import", content=content, headers=headers), status, place)

    api(body)


def test_a_query_that_is_wrong_is_a_problem(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        refused(await client.post("/import?dry_run=perhaps", content="a"), 422, "/dry_run")
        refused(await client.post("/import?format=xml", content="a"), 422, "/format")

    api(body)


def test_an_import_is_one_act_and_one_version_with_a_reason(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        why = {"x-meshmeter-actor": "ann", "x-meshmeter-reason": "moved"}
        answer = await client.post("/import", json=question(LIMITS, NATIVE), headers=why)
        assert (answer.json()["version"], answer.headers["etag"]) == (1, '"1"')
        (version,) = (await client.get("/versions")).json()
        assert (version["action"], version["actor"], version["reason"]) == (
            "import",
            "ann",
            "moved",
        )
        assert version["changes"] == 3
        await client.post("/versions/0/rollback", json={"reason": "back"})
        assert await names(client) == []

    api(body)


def test_an_import_can_be_based_on_a_version(api: Api) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        late = {"if-match": '"7"'}
        refused(await client.post("/import", json=question(LIMITS), headers=late), 412)
        assert await names(client) == []
        now = {"if-match": (await client.get("/export")).headers["etag"]}
        answer = await client.post("/import", json=question(LIMITS), headers=now)
        assert answer.json()["rules"]["made"] == ["shop-user"]

    api(body)
