"""When memory is short, and from when on it is not."""

import asyncio
import resource

import pytest

from collector.errors import MemoryShort
from collector.memory import Memory, cgroup_limits, resident_bytes, there_is

MIB = 1024 * 1024


def later(memory: Memory) -> Memory:
    """It looks again at once."""
    memory._looked_s = 0
    return memory


def test_reports_are_refused_while_more_is_used_than_may_be():
    used = [90 * MIB]
    memory = Memory(100 * MIB, lambda: used[0])
    memory.refuse()
    used[0] = 101 * MIB
    with pytest.raises(MemoryShort, match="101 MiB of memory are in use; above 100 MiB"):
        later(memory).refuse()
    used[0] = 99 * MIB
    later(memory).refuse()


def test_it_is_not_asked_each_time():
    asked = []
    memory = Memory(MIB, lambda: len(asked) or asked.append(1) or 1)
    for _ in range(1000):
        assert not memory.short()
    assert len(asked) == 1


def test_who_waits_goes_on_when_there_is_enough():
    used = [2 * MIB]
    memory = Memory(MIB, lambda: used[0])

    async def run() -> None:
        waiting = asyncio.create_task(memory.enough())
        await asyncio.sleep(0)
        assert not waiting.done()
        used[0] = 0
        await asyncio.wait_for(waiting, 20)

    asyncio.run(run())


def test_what_is_resident_is_what_the_kernel_says():
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert 10 * MIB < resident_bytes() <= most + MIB
    assert Memory().soft_bytes == int(0.75 * there_is()) > resident_bytes()


def test_the_limits_of_all_cgroups_above_count(tmp_path):
    within = tmp_path / "system.slice" / "meshmeter.service"
    within.mkdir(parents=True)
    (within / "memory.max").write_text("max\n")
    (within.parent / "memory.max").write_text("4000\n")
    (tmp_path / "memory" / "pod").mkdir(parents=True)
    (tmp_path / "memory" / "pod" / "memory.limit_in_bytes").write_text("3000\n")
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("9000\n")
    told = "5:cpu,cpuacct:/pod\n4:memory:/pod\n0::/system.slice/meshmeter.service\n"
    assert list(cgroup_limits(told, tmp_path)) == [3000, 9000, 4000]
    # In a container the path is the host's, and only the root is there.
    assert list(cgroup_limits("4:memory:/kubepods/pod7\n", tmp_path)) == [9000]
