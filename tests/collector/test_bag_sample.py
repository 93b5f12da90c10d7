"""Which requests are sampled, and how many."""

from collector.status import bag_sample
from collector.status.bag_sample import BagSample
from policy.engine import Engine
from policy.explain.sampled import Sampled, references_of
from policy.quota.memory import MemoryCounters
from policy.rules import rule_from_json
from policy.snapshot import compile_snapshot

KEPT_S = 300.0
RULE = {"kind": "deny", "name": "no", "match": 'source.service == "x"'}


class Sampling:
    def __init__(self) -> None:
        self.now_s = 1000.0
        snapshot = compile_snapshot([rule_from_json(RULE)], 1)
        engine = Engine(MemoryCounters(), snapshot)
        self.sample = BagSample(engine, KEPT_S, lambda: self.now_s)
        self.sample.wanted = references_of(snapshot)

    def second(self, *destinations: str) -> None:
        """Checks of one second, as the checker has them looked at."""
        self.sample.refill()
        for number, destination in enumerate(destinations):
            if self.sample.room:
                self.sample.look(
                    {"destination.service": destination, "source.service": str(number)}
                )
        self.now_s += 1

    def newest(self) -> list[Sampled]:
        return self.sample.newest()


def test_a_busy_destination_leaves_room_for_a_rare_one() -> None:
    sampling = Sampling()
    sampling.second(*["busy"] * 200, "rare")
    assert [each.destination for each in sampling.newest()] == ["busy", "busy", "rare"]


def test_a_second_has_so_many_looks_and_takes() -> None:
    sampling = Sampling()
    sampling.second(*["busy"] * bag_sample.LOOKS, "too late")
    assert {each.destination for each in sampling.newest()} == {"busy"}
    assert sampling.sample.room == 0
    sampling.second(*map(str, range(100)))
    assert len(sampling.newest()) == 2 + bag_sample.TAKES


def test_the_newest_of_a_destination_and_the_latest_destinations_are_kept() -> None:
    sampling = Sampling()
    for number in range(20):
        sampling.second(f"old-{number}")
    for _ in range(20):
        sampling.second("one", "one")
    for number in range(bag_sample.MAX_DESTINATIONS):
        sampling.second(f"new-{number}")
    found = [each.destination for each in sampling.newest()]
    assert found == [f"new-{number}" for number in range(bag_sample.MAX_DESTINATIONS)]
    sampling.second("one", "one")
    assert found.count("one") == 0
    for _ in range(20):
        sampling.second("one", "one")
    again = [each.destination for each in sampling.newest()]
    assert again.count("one") == bag_sample.MAX_OF_ONE


def test_what_is_older_than_it_is_kept_is_forgotten() -> None:
    sampling = Sampling()
    sampling.second("one")
    sampling.now_s += KEPT_S - 1
    assert len(sampling.newest()) == 1
    sampling.now_s += 1
    assert sampling.newest() == []


def test_without_rules_nothing_is_sampled() -> None:
    sample = BagSample(Engine(MemoryCounters()), KEPT_S)
    sample.refill()
    sample.look({"destination.service": "b"})
    assert sample.newest() == []
