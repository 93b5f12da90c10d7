"""The audit log, on SQLite and on PostgreSQL."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from policy.acts import Asked, By, Edit, Resource
from policy.errors import CountersDown, RulesDown
from policy.rules import rule_to_json
from policy.store import Audit, RuleStore, audit
from tests.policy.objects import deny, quota


@pytest.fixture
def log(store: RuleStore) -> Audit:
    return store.audit


def test_each_change_is_told_before_and_after(store: RuleStore, log: Audit) -> None:
    store.create(quota(), By("ann", "a start", "10.0.0.7"))
    store.update("calm", lambda rule: rule.model_copy(update={"priority": 3}), by=By("bob"))
    store.delete("calm")
    deleted, updated, created = log.entries(10).entries
    assert (created.actor, created.reason, created.peer) == ("ann", "a start", "10.0.0.7")
    assert (created.resource, created.name, created.version) == ("rule", "calm", 1)
    assert (created.before, created.after) == (None, rule_to_json(quota()) | {"version": 1})
    assert updated.before == created.after
    assert updated.after is not None
    assert (updated.action, updated.after["priority"]) == ("update", 3)
    assert (deleted.action, deleted.before, deleted.after) == ("delete", updated.after, None)


def test_what_does_not_change_the_set_is_logged_too(store: RuleStore, log: Audit) -> None:
    store.create(quota())
    reset = Edit(Resource.COUNTER, "calm", {"used": 2}, {"used": 0})
    log.add(By("ann", "a mistake"), "reset", lambda: [reset])
    (entry, _) = log.entries(10).entries
    assert (entry.action, entry.version, entry.after) == ("reset", None, {"used": 0})
    assert store.version() == 1
    assert store.history.versions(10)[1] == 1
    store.create(deny())
    assert [document["name"] for document in store.history.documents(2)] == ["calm", "no"]


def test_what_fails_is_not_logged_and_what_cannot_be_logged_is_not_done(
    store: RuleStore, log: Audit
) -> None:
    def failing() -> list[Edit]:
        raise CountersDown("no answer in time")

    with pytest.raises(CountersDown):
        log.add(By("ann"), "reset", failing)
    assert log.entries(10).total == 0
    away = RuleStore("postgresql://127.0.0.1:1/none")
    with pytest.raises(RulesDown):  # and not what doing it would raise
        away.audit.add(By("ann"), "reset", failing)
    away.close()


def test_it_is_filtered_and_paged_with_a_true_total(store: RuleStore, log: Audit) -> None:
    for number in range(9):
        by = By("ann" if number % 3 else "bob")
        store.create(quota(f"q{number}"), by)
    ann = Asked(actor="ann")
    page = log.entries(4, asked=ann)
    assert ([it.name for it in page.entries], page.total) == (["q8", "q7", "q5", "q4"], 6)
    assert page.more
    page = log.entries(4, page.entries[-1].id, ann)
    assert ([it.name for it in page.entries], page.total) == (["q2", "q1"], 6)
    assert not page.more
    assert [it.actor for it in log.entries(4, asked=Asked(name="q3")).entries] == ["bob"]
    assert log.entries(4, asked=Asked(resource=Resource.COUNTER)).total == 0
    assert log.entries(4, asked=Asked(action="create")).total == 9


def test_it_is_filtered_by_time_of_any_zone(store: RuleStore, log: Audit) -> None:
    store.create(quota())
    (entry,) = log.entries(10).entries
    for zone in (UTC, timezone(timedelta(hours=-7)), timezone(timedelta(hours=9))):
        at = entry.time.astimezone(zone)
        later = at + timedelta(microseconds=1)
        assert log.entries(10, asked=Asked(since=at)).total == 1
        assert log.entries(10, asked=Asked(since=later)).total == 0
        assert log.entries(10, asked=Asked(until=at)).total == 0
        assert log.entries(10, asked=Asked(until=later)).total == 1
    assert abs(entry.time - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_page_of_large_documents_is_a_short_one(store: RuleStore, log: Audit) -> None:
    overrides = [
        {"name": f"o{n}", "when": {"source.service": "x" * 200 + str(n)}, "unlimited": True}
        for n in range(audit.MAX_BYTES // 1000)
    ]
    store.create(quota(dimensions=["source.service"], overrides=overrides))
    for priority in range(3):
        store.update("calm", lambda rule, p=priority: rule.model_copy(update={"priority": p}))
    seen: list[int | None] = []
    before, more = None, True
    while more:
        entries, total, more = log.entries(100, before)
        assert len(entries) < 4
        assert total == 4
        seen += [entry.version for entry in entries]
        before = entries[-1].id
    assert seen == [4, 3, 2, 1]
