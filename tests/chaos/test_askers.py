"""A check without an answer is a fault, unless the collector could not give one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.askers import QUOTAS, Askers
from chaos.faults import EVERY, STEP_S, Breaker, Disturbed, Kind
from chaos.proxy import Proxies
from launch.supervisor import Supervisor
from tests.conftest import free_port
from tests.waiting import eventually

SERVES = (1, 0)  # a process, to which nothing was done


@contextmanager
def asking_nobody(up: tuple[int, int] | None) -> Iterator[Askers]:
    askers = Askers(f"http://127.0.0.1:{free_port()}", lambda: Disturbed(0, 0, up))
    askers.start()
    try:
        eventually(lambda: askers.counts["unanswered"] >= len(QUOTAS))
        yield askers
    finally:
        askers.stop(0)


def test_no_answer_from_a_collector_that_serves_is_said():
    with asking_nobody(SERVES) as askers:
        assert "a check is not answered: ConnectError" in eventually(lambda: askers.wrong)[0]


def test_no_answer_from_one_that_was_killed_is_none_until_the_end():
    with asking_nobody(None) as askers:
        assert askers.wrong == []
    assert len(askers.wrong) == len(QUOTAS)
    assert "a check of chaos-exact has no answer after 0 s" in askers.wrong


def test_where_no_disk_and_no_clock_can_be_had_all_else_is_broken(tmp_path: Path):
    proxies = Proxies({})
    breaker = Breaker(Supervisor({}, tmp_path, str), proxies, "redis://127.0.0.1:1", None, None)
    proxies.close()
    left_out = {Kind.FULL, *STEP_S}
    assert breaker.every == [(kind, target) for kind, target in EVERY if kind not in left_out]
    assert len(EVERY) - len(breaker.every) == 5
