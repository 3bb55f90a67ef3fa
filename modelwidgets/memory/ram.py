"""The machine's RAM, and the limit of the container around us."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """How much there is, and how much of it can be had now."""

    total_bytes: int
    available_bytes: int


def machine_memory() -> Memory:
    import psutil  # noqa: PLC0415 - takes 20 ms that only those who ask should pay

    memory = psutil.virtual_memory()
    return Memory(total_bytes=memory.total, available_bytes=memory.available)


def container_memory(system: Path = Path("/")) -> Memory | None:
    """The tightest limit of the control groups this process is in; None where there is no limit.

    Versions 1 and 2 are both read, for a machine may run them side by side. Pages that were read
    from files and are not in use count as available: the kernel gives them up before it refuses.
    """
    limits = [
        Memory(total_bytes=limit, available_bytes=min(limit, max(0, limit - used + inactive)))
        for limit, used, inactive in _group_limits(system)
    ]
    if not limits:
        return None
    return Memory(
        total_bytes=min(memory.total_bytes for memory in limits),
        available_bytes=min(memory.available_bytes for memory in limits),
    )


def _group_limits(system: Path) -> Iterator[tuple[int, int, int]]:
    """Limit, use and inactive file pages of each group with a limit, from own to outermost."""
    mount = system / "sys/fs/cgroup"
    for line in (read_text(system / "proc/self/cgroup") or "").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers == "":
            for folder in _outwards(mount, path):
                limit = number(folder / "memory.max")  # the word `max` where there is none
                used = number(folder / "memory.current")
                if limit is not None and used is not None:
                    yield limit, used, _stat(folder, "inactive_file")
        elif "memory" in controllers.split(","):
            for folder in _outwards(mount / "memory", path):
                limit = number(folder / "memory.limit_in_bytes")
                used = number(folder / "memory.usage_in_bytes")
                if limit is not None and used is not None:
                    yield limit, used, _stat(folder, "total_inactive_file")


def _outwards(mount: Path, path: str) -> Iterator[Path]:
    """The folder of a group and of all that hold it; inside a container only the mount exists."""
    group = PurePosixPath(path.lstrip("/"))
    if ".." not in group.parts:
        for inner in (group, *group.parents):
            if inner != PurePosixPath():
                yield mount / inner
    yield mount


def _stat(folder: Path, key: str) -> int:
    for line in (read_text(folder / "memory.stat") or "").splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.isdecimal():
            return int(value)
    return 0


def number(path: Path) -> int | None:
    text = read_text(path)
    return int(text) if text is not None and text.isdecimal() else None


def read_text(path: Path) -> str | None:
    """A small file of the system without its last line break; None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
