"""The limits of the container around us, as Linux writes them down."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwidgets.memory.ram import Memory, container_memory
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
