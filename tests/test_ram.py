"""The limits of the container around us, as Linux writes them down."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwidgets.memory.ram import Memory, container_memory, limited, linux_swap
from tests.fake_nvml import GIB


def write(system: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = system / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def test_container_limit_of_version_2(tmp_path: Path) -> None:
    """What is left under the limit counts, and file pages that are not in use count as left."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": str(8 * GIB),
            "sys/fs/cgroup/memory.current": str(6 * GIB),
            "sys/fs/cgroup/memory.stat": f"anon {4 * GIB}\ninactive_file {2 * GIB}",
        },
    )

    limit = container_memory(tmp_path)

    assert limit == Memory(total_bytes=8 * GIB, available_bytes=4 * GIB)


def test_container_limit_of_version_1(tmp_path: Path) -> None:
    """In a container the group's path of the host does not exist: the mount itself is the group."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/0a1b\n4:memory:/docker/0a1b",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(8 * GIB),
            "sys/fs/cgroup/memory/memory.usage_in_bytes": str(6 * GIB),
            "sys/fs/cgroup/memory/memory.stat": (
                f"inactive_file 1\nhierarchical_memory_limit 1\ntotal_inactive_file {GIB}"
            ),
        },
    )

    limit = container_memory(tmp_path)

    assert limit == Memory(total_bytes=8 * GIB, available_bytes=3 * GIB)


def test_outer_limit_counts_too(tmp_path: Path) -> None:
    """Groups lie in one another: the tightest of them decides, total and left each by itself."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/jupyter.scope",
            "sys/fs/cgroup/user.slice/memory.max": str(6 * GIB),
            "sys/fs/cgroup/user.slice/memory.current": str(GIB),
            "sys/fs/cgroup/user.slice/jupyter.scope/memory.max": str(8 * GIB),
            "sys/fs/cgroup/user.slice/jupyter.scope/memory.current": str(7 * GIB),
        },
    )

    limit = container_memory(tmp_path)

    assert limit == Memory(total_bytes=6 * GIB, available_bytes=GIB)


def test_both_versions_side_by_side(tmp_path: Path) -> None:
    """Where version 1 and 2 both limit, the smaller wins."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/a\n0::/b",
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": str(4 * GIB),
            "sys/fs/cgroup/memory/a/memory.usage_in_bytes": str(GIB),
            "sys/fs/cgroup/b/memory.max": str(8 * GIB),
            "sys/fs/cgroup/b/memory.current": str(7 * GIB),
        },
    )

    limit = container_memory(tmp_path)

    assert limit == Memory(total_bytes=4 * GIB, available_bytes=GIB)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": ""},
        {"proc/self/cgroup": "no colons at all"},
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "max"},
        {"proc/self/cgroup": "0::/../../../etc", "etc/memory.max": "1", "etc/memory.current": "1"},
        {"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/memory.max": "5"},
    ],
)
def test_no_container_limit(tmp_path: Path, files: dict[str, str]) -> None:
    """Without a limit, or with files that cannot be used, the machine's memory stands alone."""
    write(tmp_path, files)

    assert container_memory(tmp_path) is None


def test_more_used_than_allowed(tmp_path: Path) -> None:
    """A limit that was lowered below what is in use leaves nothing, not less than nothing."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": str(GIB),
            "sys/fs/cgroup/memory.current": str(2 * GIB),
        },
    )

    limit = container_memory(tmp_path)

    assert limit == Memory(total_bytes=GIB, available_bytes=0)


# Swap


def test_swap_of_the_machine(tmp_path: Path) -> None:
    """Total and free stand in the kernel's own list; where that is not whole, nothing is said."""
    write(tmp_path, {"proc/meminfo": "SwapTotal:  8388604 kB\nSwapFree:  1048576 kB\nX: y"})
    whole = linux_swap(tmp_path)
    write(tmp_path, {"proc/meminfo": "SwapTotal:  8388604 kB"})

    assert whole == (8388604 * 1024, GIB)
    assert linux_swap(tmp_path) is None


@pytest.mark.parametrize(
    "files",
    [
        {
            "proc/self/cgroup": "0::/a",
            "sys/fs/cgroup/a/memory.swap.max": str(2 * GIB),
            "sys/fs/cgroup/a/memory.swap.current": str(GIB),
        },
        {
            "proc/self/cgroup": "4:memory:/a",
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": str(8 * GIB),
            "sys/fs/cgroup/memory/a/memory.usage_in_bytes": str(5 * GIB),
            "sys/fs/cgroup/memory/a/memory.memsw.limit_in_bytes": str(10 * GIB),
            "sys/fs/cgroup/memory/a/memory.memsw.usage_in_bytes": str(6 * GIB),
        },
    ],
)
def test_swap_under_a_limit(tmp_path: Path, files: dict[str, str]) -> None:
    """The container's limit on swap counts; version 1 limits memory and swap together."""
    machine = Memory(
        total_bytes=64 * GIB,
        available_bytes=48 * GIB,
        swap_total_bytes=16 * GIB,
        swap_free_bytes=16 * GIB,
    )
    write(tmp_path, files)

    inside = limited(machine, tmp_path)

    assert (inside.swap_total_bytes, inside.swap_free_bytes) == (2 * GIB, GIB)


def test_a_container_that_may_not_swap(tmp_path: Path) -> None:
    """A limit of nothing leaves nothing, and no limit leaves the machine's."""
    machine = Memory(total_bytes=64, available_bytes=48, swap_total_bytes=9, swap_free_bytes=8)
    free = limited(machine, tmp_path)
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.swap.max": "0",
            "sys/fs/cgroup/memory.swap.current": "0",
        },
    )

    assert free == machine
    assert limited(machine, tmp_path).swap_total_bytes == 0
