"""The last good rules on disk are always those of one version."""

import multiprocessing
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.last_good import LastGood, Unusable
from tests.collector import last_good_writer
from tests.collector.last_good_writer import of_version, whole

KILLS = 12


def test_what_was_never_kept_is_none(tmp_path: Path) -> None:
    file = tmp_path / "rules.sqlite"
    assert LastGood(file).read() is None
    assert not file.exists()
    assert not LastGood(file).keep(of_version(2, 1))
    assert LastGood(file).read() is None


def test_a_change_is_kept_only_on_what_it_changes(tmp_path: Path) -> None:
    disk = LastGood(tmp_path / "rules.sqlite")
    for version, since, done in (
        (1, None, True),
        (2, 1, True),
        (4, 3, False),
        (3, 1, False),
        (3, 2, True),
        (1, None, True),  # a database that was restored
        (2, 1, True),
    ):
        assert disk.keep(of_version(version, since)) is done
        found = disk.read()
        assert found is not None
        assert (found.stamp.version == version) is done
        assert whole(found)


def test_of_another_database_of_the_same_version_nothing_is_left(tmp_path: Path) -> None:
    disk = LastGood(tmp_path / "rules.sqlite")
    disk.keep(of_version(2, None))
    other = of_version(2, None)._replace(
        documents=[{"name": "only"}],
        lists=[of_version(3, None).lists[0].model_copy(update={"version": 2})],
    )
    disk.keep(other)
    found = disk.read()
    assert found is not None
    assert (found.documents, found.lists) == (other.documents, other.lists)


def test_a_writer_that_is_killed_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    file = tmp_path / "rules.sqlite"
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([last_good_writer.__name__])
    dice, last = random.Random(7), 0
    for _ in range(KILLS):
        writer = processes.Process(target=last_good_writer.write, args=(file,))
        writer.start()
        writer.join(dice.uniform(0.05, 0.3))
        assert writer.exitcode is None, "it writes until it is killed"
        writer.kill()
        writer.join()
        found = LastGood(file).read()
        if found is not None:
            assert whole(found)
            assert found.stamp.version >= last
            last = found.stamp.version
    assert last > KILLS


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "rules.sqlite"
    disk = LastGood(file)
    disk.keep(of_version(1, None))
    with files_no_larger_than(file.stat().st_size), pytest.raises(Unusable):
        disk.keep(of_version(2, 1))
    found = disk.read()
    assert found is not None
    assert found.stamp.version == 1
    assert whole(found)
    assert disk.keep(of_version(2, 1))


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
