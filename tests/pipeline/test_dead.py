"""What could not be stored is kept, can be read, and is replayed: each item once."""

import json
import sqlite3
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from collector.dead import CUT, Dead
from collector.decoders.limits import Reason
from collector.groups import OutboxGroups
from collector.ingest import ingest
from collector.model import Report, Signal
from collector.outbox import Outbox
from collector.store.client import Store
from collector.store.tables import DeadLetterRow, columns
from tests import plain_http
from tests.bad_input.live import LiveCollector
from tests.collector.messages import span, traces
from tests.pipeline.processes import stored_ids
from tests.pipeline.reports import append, decisions, lease, report
from tests.waiting import eventually

MIB = 1024 * 1024
HOUR_NS = 3_600_000_000_000


class Clock:
    now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path, 64 * MIB, ballast_bytes=MIB, clock=Clock())
    yield outbox
    outbox.close()


def given_up(outbox: Outbox, store: Store) -> int:
    """A group that was stored in one of its two tables, eight times."""
    append(outbox, decisions("a", "b"), report(b"no decision"))
    group = outbox.freeze_group(MIB)
    store.command("RENAME TABLE decisions TO elsewhere")
    for _ in range(8):
        assert not ingest(OutboxGroups(outbox), store, outbox.collector_id, group)
    store.command("RENAME TABLE elsewhere TO decisions")
    assert lease(outbox) == []
    return group


def test_a_group_is_replayed_under_its_number_and_stored_once(outbox, store):
    group = given_up(outbox, store)
    dead = Dead(outbox, store, store)
    (told,) = dead.groups(0, 10)
    assert (told["group"], told["reports"], told["attempts"]) == (group, 2, 8)
    assert told["reason"].startswith("StoreError 60: ")
    assert told["parts"] == [
        {"signal": "decisions", "client": "a-1.default", "reports": 2, "items": 3}
    ]
    assert dead.replay(group)
    assert not dead.replay(group)
    assert dead.groups(0, 10) == []
    assert lease(outbox) == [group]
    for _ in range(2):
        assert ingest(OutboxGroups(outbox), store, outbox.collector_id, group)
    assert not dead.replay(group)
    assert lease(outbox) == []
    assert stored_ids(store) == ["a", "b"]
    assert store.rows("SELECT count() FROM dead_letters") == [(1,)]
    (entry,) = outbox.books()
    assert (entry.stored, entry.refused, entry.difference) == (2, {"unreadable": 1}, 0)


def test_a_group_that_fails_again_is_given_up_again(outbox, store):
    group = given_up(outbox, store)
    outbox.replay(group)
    for _ in range(8):
        outbox.begin_attempt(group)
        outbox.mark_failed(group, "still")
    assert lease(outbox) == []
    (told,) = outbox.dead_groups(0, 10)
    assert (told.group, told.reason) == (group, "still")


def test_only_an_explicit_deletion_loses_a_group_and_the_books_say_so(outbox, store):
    group = given_up(outbox, store)
    outbox.purge()
    assert len(outbox.read_group(group)) == 2
    assert outbox.discard(group)
    assert not outbox.discard(group)
    assert outbox.read_group(group) == []
    (entry,) = outbox.books()
    assert (entry.discarded, entry.quarantined, entry.difference) == (3, 0, 0)


def test_a_pending_group_is_not_deleted(outbox):
    append(outbox, decisions("a"))
    group = outbox.freeze_group(MIB)
    assert not outbox.discard(group)
    assert len(outbox.read_group(group)) == 1


def test_dead_letters_are_found_page_by_page_and_by_their_ids(outbox, store):
    now_ns = time.time_ns()
    bodies = [b"not %d" % number for number in range(5)]
    append(outbox, *(report(body, received_ns=now_ns + n) for n, body in enumerate(bodies)))
    append(outbox, report(b"other", "b-1.default", received_ns=now_ns))
    group = outbox.freeze_group(MIB)
    assert ingest(OutboxGroups(outbox), store, outbox.collector_id, group)
    dead = Dead(outbox, store, store)
    window = (now_ns, now_ns + 10)
    asked = {"signal": "decisions", "reason": "unreadable", "client": "a-1.default", "limit": 2}
    found, place = [], None
    while letters := dead.letters(*window, **asked, before=place):
        found += letters
        time_ns, _, hash_ = letters[-1]["id"].partition("-")
        place = (int(time_ns), hash_)
    assert [b64decode(letter["item"]) for letter in found] == bodies[::-1]
    time_ns, _, hash_ = found[2]["id"].partition("-")
    assert dead.letter(int(time_ns), hash_) == found[2]
    assert dead.letter(int(time_ns) + 1, hash_) is None


def test_a_letter_an_older_decoder_refused_is_replayed_and_stored_once(outbox, store):
    now_ns = time.time_ns()
    good = b'{"id": "x", "allowed": 1, "time": %d}' % now_ns
    letter = DeadLetterRow(now_ns, "decisions", "unreadable", "once", "a", good, replayable=1)
    bad = letter._replace(item=b"no decision", detail="still")
    cut = letter._replace(detail="cut", replayable=0)
    store.insert("dead_letters", columns([letter, bad, cut], 7), token="letters")
    dead = Dead(outbox, store, store)
    asked = {"signal": "", "client": "", "reason": "", "limit": 9, "before": None}
    found = {told["detail"]: told for told in dead.letters(now_ns, now_ns + 1, **asked)}
    assert replayed(dead, found["still"]) == (False, "unreadable")
    assert replayed(dead, found["cut"]) == (False, CUT)
    assert stored_ids(store) == []
    assert [replayed(dead, found["once"]) for _ in range(3)] == [(True, "")] * 3
    assert stored_ids(store) == ["x"]
    assert dead.replay_letter(1, "0" * 32) is None
    assert len(dead.letters(now_ns, now_ns + 1, **asked)) == 3  # letters stay


def test_what_a_collector_whose_clock_was_slow_took_for_the_future_is_replayed(outbox, store):
    behind_ns = time.time_ns() - HOUR_NS
    sent = traces(span())
    append(outbox, Report(Signal.OTLP_TRACES, sent, behind_ns, "a-1.default"))
    assert ingest(OutboxGroups(outbox), store, outbox.collector_id, outbox.freeze_group(MIB))
    dead = Dead(outbox, store, store)
    asked = {"signal": "", "client": "", "reason": "", "limit": 9, "before": None}
    (letter,) = dead.letters(behind_ns, behind_ns + 1, **asked)
    assert letter["reason"] == Reason.IN_THE_FUTURE
    assert [replayed(dead, letter) for _ in range(2)] == [(True, "")] * 2
    assert store.rows("SELECT count() FROM spans") == [(1,)]


def replayed(dead: Dead, letter: dict[str, Any]) -> tuple[bool, str]:
    time_ns, _, hash_ = letter["id"].partition("-")
    answer = dead.replay_letter(int(time_ns), hash_)
    assert answer is not None
    return answer["stored"], answer["reason"].partition(":")[0]


def quarantine_all(collector: LiveCollector) -> None:
    """As eight failures leave them. The collector is not running."""
    file = sqlite3.connect(collector.settings.data_dir / "outbox" / "outbox-0.sqlite")
    file.execute("UPDATE groups SET state = 2, attempts = 8, failure = 'a bug', quarantined_s = 1")
    file.commit()
    file.close()


def test_from_a_terminal_groups_are_listed_shown_replayed_and_deleted(
    tmp_path: Path, redis_url: str, store_url: str
) -> None:
    collector = LiveCollector(tmp_path, redis_url, clickhouse_url=store_url)

    def run(*words: str, code: int = 0) -> str:
        runner = CliRunner(env=collector.settings.to_environ())
        answer = runner.invoke(app, words)
        assert answer.exit_code == code, answer.output
        return answer.output

    try:
        bodies = [traces(span(name=f"n{number}")) for number in range(3)]
        for number, body in enumerate(bodies):
            collector.post(body).raise_for_status()
            eventually(lambda groups=number + 1: len(groups_of(collector)) == groups)
        collector.kill()
        quarantine_all(collector)
        collector.start()
        listed = run("dead", "list").splitlines()
        assert [line.split()[0] for line in listed] == ["group", "1", "2", "3", "there"]
        shown = json.loads(run("dead", "show", "2"))
        assert (shown["reason"], shown["since"]) == ("a bug", "1970-01-01T00:00:01.000000000Z")
        assert b64decode(shown["contents"][0]["body"]) == bodies[1]
        assert run("replay-dead", "1") == "group 1 is sent to be stored again\n"
        assert "404" in run("replay-dead", "1", code=1)
        run("dead", "delete", "2")
        assert "404" in run("dead", "show", "2", code=1)
        assert run("replay-dead", "--all") == "group 3 is sent to be stored again\n"
        assert run("replay-dead", "--all") == "no group is in quarantine\n"
        run("replay-dead", code=2)
        total = plain_http.get(f"{collector.url}/api/v1/reconciliation").json()["total"]
        assert (total["pending"], total["discarded"], total["difference"]) == (2, 1, 0)
    finally:
        collector.kill()


def groups_of(collector: LiveCollector) -> list[int]:
    """Numbers of the groups in its file."""
    file = sqlite3.connect(collector.settings.data_dir / "outbox" / "outbox-0.sqlite")
    try:
        return [row[0] for row in file.execute("SELECT id FROM groups")]
    finally:
        file.close()
