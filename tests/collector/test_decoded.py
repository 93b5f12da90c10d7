"""What decoders collected becomes blocks to insert."""

from collector.decoders.decoded import Collected, Decoded
from collector.store.tables import DeadLetterRow, DecisionRow

LETTER = DeadLetterRow(1, "als", "no_time", "d", "a", b"1")


def test_rows_of_two_decoders_in_one_table_are_one_block():
    parts = [
        Collected(rows=[DecisionRow(1, "a", 1), LETTER]),
        Collected(rows=[DecisionRow(2, "b", 1)], skipped=3),
    ]
    decoded = Decoded.of(parts, 7)
    assert decoded.counts == {"decisions": 2, "dead_letters": 1}
    assert decoded.tables["decisions"]["id"] == ["a", "b"]
    assert decoded.tables["decisions"]["_group"] == [7, 7]
    assert decoded.skipped == 3
