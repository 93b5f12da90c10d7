"""Lists kept fresh from real sources, and what is in force while a source is of no use."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text as sql

from collector.lists import ListKeeper, ListMetrics, ListStatus, Places
from collector.snapshots import SnapshotKeeper
from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.lists import NamedList, list_from_json, list_to_json
from policy.quota.memory import MemoryCounters
from policy.results import Decision
from policy.rules import rule_from_json
from policy.store import RuleStore
from policy.store.engine import rules_engine
from tests.collector.list_source import HERE, Source, endless, gzipped, raw, source, tagged, text
from tests.collector.policy_parts import rule_store, until

NO_DATABASE = "postgresql://127.0.0.1:1/none"
GATE = {"kind": "list", "name": "gate", "type": "allow", "value": "source.user", "list": "vips"}


@pytest.fixture
def served() -> Iterator[Source]:
    with source() as running:
        yield running


def named(name: str = "vips", **fields: Any) -> NamedList:
    base: dict[str, Any] = {"name": name, "entry_type": "literal"}
    if "url" in fields or "file" in fields:
        base |= {"refresh": 1, "ttl": 1}
    return list_from_json(base | fields)


class Running:
    """Rules, lists and engine of a collector, at work."""

    def __init__(self, store: RuleStore, data_dir: Path, places: Places) -> None:
        self.store = store
        self.engine = Engine(MemoryCounters())
        self.lists = ListKeeper(data_dir, places)
        self.rules = SnapshotKeeper(self.engine, store, data_dir, 3600, self.lists)

    def allowed(self, user: str) -> Decision:
        decision = self.engine.check(AttributeBag({"source.user": user}))
        assert isinstance(decision, Decision)
        return decision

    def who(self) -> list[str]:
        return [user for user in ("ann", "bob", "carl") if self.allowed(user).allowed]

    def status(self, name: str = "vips") -> ListStatus:
        status = self.lists.status(name)
        assert status is not None
        return status


Body = Callable[[Running], Awaitable[None]]


def running(
    tmp_path: Path,
    body: Body,
    *lists: NamedList,
    database: bool = True,
    places: Places = HERE,
) -> None:
    """With these lists, and a rule that lets pass who is on `vips`."""

    async def run() -> None:
        store = rule_store(tmp_path) if database else RuleStore(NO_DATABASE)
        if lists:
            for each in lists:
                store.lists.create(each)
            store.create(rule_from_json(GATE))
        made = Running(store, tmp_path / "data", places)
        await made.rules.start()
        try:
            await body(made)
        finally:
            await made.rules.close()
            store.close()

    asyncio.run(run())


def test_a_lists_own_entries_are_asked_and_a_change_is_in_force_at_once(tmp_path: Path) -> None:
    async def body(made: Running) -> None:
        assert made.who() == ["ann"]
        compiled = made.engine.snapshot and made.engine.snapshot.rules["gate"]
        made.store.lists.update("vips", lambda old: changed(old, entries=["bob", "carl"]))
        await made.rules.refresh()
        assert made.who() == ["bob", "carl"]
        assert made.engine.snapshot is not None
        assert made.engine.snapshot.rules["gate"] is compiled
        status = made.status()
        assert (status.version, status.entries, status.source) == (2, 2, "")
        assert (status.available, status.stale, status.age) == (True, False, None)

    running(tmp_path, body, named(entries=["ann"]))


def changed(old: NamedList, **fields: Any) -> NamedList:
    return list_from_json(list_to_json(old) | fields)


def test_a_list_from_a_url_is_there_with_the_rule_that_asks_it(
    tmp_path: Path, served: Source
) -> None:
    served.answer = text("ann\n# or\nbob\n", etag='"1"')

    async def body(made: Running) -> None:
        assert made.who() == ["ann", "bob"]
        status = made.status()
        assert (status.entries, status.etag, status.source) == (2, '"1"', served.url)
        assert (status.error, status.stale, status.fetches) == ("", False, 1)
        assert status.age is not None

    running(tmp_path, body, named(url=served.url))


def test_what_the_source_changes_is_in_force_after_a_refresh(
    tmp_path: Path, served: Source
) -> None:
    async def body(made: Running) -> None:
        assert made.who() == ["ann", "bob"]
        served.answer = text("carl\n")
        await until(lambda: made.who() == ["carl"])

    running(tmp_path, body, named(url=served.url))


def test_a_source_that_says_nothing_changed_counts_as_fresh(tmp_path: Path, served: Source) -> None:
    served.answer = tagged("ann", '"1"')

    async def body(made: Running) -> None:
        first = made.status().fetched_at
        assert first is not None
        entries = made.lists.lists.of("vips").entries
        await until(lambda: made.status().fetched_at != first)
        assert len(served.asked) == 2
        assert served.asked[1]["if-none-match"] == '"1"'
        assert made.lists.lists.of("vips").entries is entries
        saved = tmp_path / "data" / "lists" / "vips.json"
        await until(lambda: saved.stat().st_mtime > first)

    running(tmp_path, body, named(url=served.url))


def test_the_same_answer_again_is_not_compiled_again(tmp_path: Path, served: Source) -> None:
    async def body(made: Running) -> None:
        entries = made.lists.lists.of("vips").entries
        await until(lambda: made.status().fetches == 2)
        assert made.lists.lists.of("vips").entries is entries

    running(tmp_path, body, named(url=served.url))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (text("", 500), "answers 500"),
        (text("moved", 301, location="/other"), "answers 301 to '/other'"),
        (text(""), "is empty"),
        (text("ann\nb\u200bob\n"), "line 2: holds U+200B, which cannot be seen"),
        (raw(b'["ann", ""]', content_type="application/json"), "/entries/1: is empty"),
        (raw(b"<html>", content_type="text/html"), "content type 'text/html'"),
        (text("x\n" * 100_001), "entries: 100001 entries, at most 100000"),
        (gzipped(b"a" * (16 * 1024 * 1024 + 1)), "more than 16777216 bytes when decompressed"),
        (endless, "more than 16777216 bytes"),
    ],
    ids=["500", "redirect", "empty", "hidden", "json", "html", "many", "bomb", "endless"],
)
def test_an_answer_of_no_use_leaves_the_list_as_it_was(
    tmp_path: Path, served: Source, answer: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "collector.lists")

    async def body(made: Running) -> None:
        served.answer = answer
        await until(lambda: made.status().failures == 2)
        status = made.status()
        assert status.error.startswith(reason)
        assert status.failing_since is not None
        assert (made.who(), status.entries) == (["ann", "bob"], 2)
        served.answer = text("carl")
        await until(lambda: made.who() == ["carl"])
        assert (made.status().error, made.status().failing_since) == ("", None)

    running(tmp_path, body, named(url=served.url))
    said = [record.message for record in caplog.records if record.name == "collector.lists.keeper"]
    assert said == ["a list cannot be refreshed", "a list is refreshed again"]


def test_a_list_that_cannot_be_refreshed_grows_stale(tmp_path: Path, served: Source) -> None:
    async def body(made: Running) -> None:
        assert not made.status().stale
        served.answer = text("", 503)
        await until(lambda: made.status().stale)
        assert made.who() == ["ann", "bob"]

    running(tmp_path, body, named(url=served.url))


@pytest.mark.parametrize(
    ("fields", "allowed", "reason"),
    [
        ({"type": "allow"}, [], "list vips was never fetched"),
        ({"type": "deny"}, ["ann", "bob", "carl"], ""),
        ({"type": "allow", "on_unavailable": "pass"}, ["ann", "bob", "carl"], ""),
        ({"type": "deny", "on_unavailable": "refuse"}, [], "list vips was never fetched"),
    ],
)
def test_a_list_that_was_never_fetched_answers_as_its_rules_say(
    tmp_path: Path, served: Source, fields: dict[str, Any], allowed: list[str], reason: str
) -> None:
    served.answer = text("", 500)

    async def body(made: Running) -> None:
        made.store.update("gate", lambda _: rule_from_json(GATE | fields))
        await made.rules.refresh()
        assert made.who() == allowed
        assert made.allowed("ann").reason == reason
        status = made.status()
        assert (status.available, status.stale, status.age) == (False, True, None)
        assert (status.error, status.unanswered) == ("answers 500", 4)

    running(tmp_path, body, named(url=served.url))


def test_a_list_that_is_late_comes_into_force_when_it_comes(tmp_path: Path, served: Source) -> None:
    served.answer = text("", 500)

    async def body(made: Running) -> None:
        assert made.who() == []
        served.answer = text("ann")
        await until(lambda: made.who() == ["ann"])

    running(tmp_path, body, named(url=served.url, refresh=3600, ttl=3600))


def test_a_start_with_the_source_down_has_the_last_good_entries(
    tmp_path: Path, served: Source
) -> None:
    served.answer = tagged("ann", '"1"')

    async def fresh(made: Running) -> None:
        assert made.who() == ["ann"]
        await until((tmp_path / "data" / "lists" / "vips.json").exists)

    async def down(made: Running) -> None:
        await until(lambda: made.status().failures)
        assert made.who() == ["ann"]
        status = made.status()
        assert (status.available, status.error, status.etag) == (True, "answers 503", '"1"')
        assert status.age is not None
        served.answer = tagged("ann", '"1"')
        await until(lambda: not made.status().error)
        assert served.asked[-1]["if-none-match"] == '"1"'

    running(tmp_path, fresh, named(url=served.url))
    served.answer = text("", 503)
    running(tmp_path, down)


def test_a_start_with_database_and_source_down_has_both_last_good(
    tmp_path: Path, served: Source
) -> None:
    own = named("own", entries=["ann"])

    async def fresh(made: Running) -> None:
        assert made.who() == ["ann", "bob"]
        await until((tmp_path / "data" / "lists" / "vips.json").exists)

    async def down(made: Running) -> None:
        assert made.who() == ["ann", "bob"]
        assert made.status("own").entries == 1
        assert made.rules.failing

    running(tmp_path, fresh, named(url=served.url), own)
    served.answer = text("", 503)
    running(tmp_path, down, database=False)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"entries": ["a"], "entry_type": "glob"}', "\x00"]
)
def test_a_spoilt_file_of_a_list_is_as_none(tmp_path: Path, served: Source, content: str) -> None:
    served.answer = text("", 503)
    saved = tmp_path / "data" / "lists" / "vips.json"
    saved.parent.mkdir(parents=True)
    saved.write_text(content)

    async def body(made: Running) -> None:
        assert not made.status().available
        served.answer = text("ann")
        await until(lambda: made.who() == ["ann"])

    running(tmp_path, body, named(url=served.url))


def test_a_directory_that_cannot_be_written_does_not_stop_a_list(
    tmp_path: Path, served: Source
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lists").write_text("a file")

    async def body(made: Running) -> None:
        served.answer = text("carl")
        await until(lambda: made.who() == ["carl"])

    running(tmp_path, body, named(url=served.url))


def test_another_source_is_asked_at_once_and_until_it_answers_the_former_entries_stay(
    tmp_path: Path, served: Source
) -> None:
    async def body(made: Running) -> None:
        await move(made, url=f"{served.url}-new", refresh=3600, ttl=3600)
        await until(lambda: made.status().error == "answers 500")
        assert (made.who(), made.status().source) == (["ann", "bob"], f"{served.url}-new")
        served.answer = text("carl")
        await until(lambda: made.who() == ["carl"])

    async def move(made: Running, **fields: Any) -> None:
        served.answer = text("", 500)
        made.store.lists.update("vips", lambda old: changed(old, **fields))
        await made.rules.refresh()

    running(tmp_path, body, named(url=served.url, refresh=3600, ttl=3600))


def test_the_same_source_with_another_type_is_read_anew(tmp_path: Path, served: Source) -> None:
    served.answer = tagged("a", '"1"')

    async def body(made: Running) -> None:
        assert made.who() == []
        made.store.lists.update("vips", lambda old: changed(old, entry_type="prefix"))
        await made.rules.refresh()
        await until(lambda: made.who() == ["ann"])

    running(tmp_path, body, named(url=served.url, refresh=3600, ttl=3600))


def test_a_list_that_gets_entries_of_its_own_forgets_its_source(
    tmp_path: Path, served: Source
) -> None:
    async def body(made: Running) -> None:
        await until((tmp_path / "data" / "lists" / "vips.json").exists)
        made.store.lists.update("vips", lambda old: changed(old, url=None, entries=["carl"]))
        await made.rules.refresh()
        assert made.who() == ["carl"]
        assert not (tmp_path / "data" / "lists" / "vips.json").exists()
        status = made.status()
        assert (status.source, status.age, status.etag) == ("", None, "")

    running(tmp_path, body, named(url=served.url))


def test_a_deleted_list_is_no_longer_asked_for_nor_kept(tmp_path: Path, served: Source) -> None:
    async def body(made: Running) -> None:
        await until((tmp_path / "data" / "lists" / "vips.json").exists)
        made.store.delete("gate")
        made.store.lists.delete("vips")
        await made.rules.refresh()
        assert made.lists.status("vips") is None
        assert not (tmp_path / "data" / "lists" / "vips.json").exists()
        asked, fetches = len(served.asked), made.status("other").fetches
        await until(lambda: made.status("other").fetches == fetches + 2)
        assert len(served.asked) - asked <= 3  # one more may be under way

    running(tmp_path, body, named(url=served.url), named("other", url=served.url))


def test_a_list_is_in_force_as_long_as_the_rules_that_ask_it(
    tmp_path: Path, served: Source
) -> None:
    def hang(request: BaseHTTPRequestHandler) -> None:
        served.hanging.wait()
        text("ann")(request)

    served.answer = hang

    async def body(made: Running) -> None:
        made.store.delete("gate")
        made.store.lists.delete("vips")
        made.store.lists.create(named("slow", url=served.url))
        refreshing = asyncio.create_task(made.rules.refresh())
        await until(lambda: served.asked)
        assert made.who() == ["ann"]
        served.hanging.set()
        await refreshing
        assert made.who() == ["ann", "bob", "carl"]
        assert made.status("slow").available

    running(tmp_path, body, named(entries=["ann"]))


def test_a_list_may_be_a_file(tmp_path: Path) -> None:
    directory = tmp_path / "lists"
    directory.mkdir()
    (directory / "vips.yaml").write_text("- ann\n")

    async def body(made: Running) -> None:
        assert made.who() == ["ann"]
        (directory / "new").write_text("- bob\n")
        (directory / "new").replace(directory / "vips.yaml")
        await until(lambda: made.who() == ["bob"])
        (directory / "vips.yaml").unlink()
        await until(lambda: made.status().error)
        assert made.who() == ["bob"]

    running(tmp_path, body, named(file="vips.yaml"), places=Places((), directory))


def test_a_bad_row_of_a_list_leaves_lists_and_rules_in_force(tmp_path: Path) -> None:
    async def body(made: Running) -> None:
        direct = rules_engine(f"sqlite:///{tmp_path / 'rules.sqlite'}")
        with direct.begin() as connection:
            connection.execute(sql("""UPDATE lists SET version = 2, document = '{"name": "x"}'"""))
            connection.execute(sql("UPDATE rule_set SET version = version + 1"))
        direct.dispose()
        await made.rules.refresh()
        assert "/vips/entry_type: is required" in made.rules.failing
        assert made.who() == ["ann"]

    running(tmp_path, body, named(entries=["ann"]))


def test_lists_are_shown_as_metrics(tmp_path: Path, served: Source) -> None:
    registry = CollectorRegistry()

    def value(name: str, of: str = "vips") -> float | None:
        return registry.get_sample_value(f"meshmeter_list_{name}", {"list": of})

    async def body(made: Running) -> None:
        metrics = ListMetrics(made.lists, registry)
        assert (value("entries"), value("stale"), value("unanswered_total")) == (2, 0, 0)
        assert (value("fetches_total"), value("failures_total")) == (1, 0)
        assert (value("entries", "own"), value("age_seconds", "own")) == (1, None)
        served.answer = text("", 500)
        await until(lambda: value("failures_total") == 1)
        await until(lambda: value("stale") == 1)
        age = value("age_seconds")
        assert age is not None
        assert age > 1
        metrics.close()
        assert value("entries") is None

    running(tmp_path, body, named(url=served.url), named("own", entries=["ann"]))
