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
    swap_total_bytes: int = 0
    swap_free_bytes: int = 0


def machine_memory() -> Memory:
    import psutil  # noqa: PLC0415 - takes 20 ms that only those who ask should pay

    memory = psutil.virtual_memory()
    swap_total, swap_free = linux_swap() or psutil.swap_memory()[:3:2]
    return Memory(
        total_bytes=memory.total,
        available_bytes=memory.available,
        swap_total_bytes=swap_total,
        swap_free_bytes=swap_free,
    )


def linux_swap(system: Path = Path("/")) -> tuple[int, int] | None:
    """Total and free; psutil would warn in containers that hide how much was swapped so far."""
    found = {}
    for line in (read_text(system / "proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        size = rest.strip().partition(" ")[0]
        if name in ("SwapTotal", "SwapFree") and size.isdecimal():
            found[name] = int(size) * 1024
    return (found["SwapTotal"], found["SwapFree"]) if len(found) == 2 else None


def limited(machine: Memory, system: Path = Path("/")) -> Memory:
    """What is left of the machine's memory inside the container around us."""
    container = container_memory(system)
    swap = container_swap(system)
    total, available = machine.total_bytes, machine.available_bytes
    if container is not None:
        total = min(total, container.total_bytes)
        available = min(available, container.available_bytes, total)
    swap_total, swap_free = machine.swap_total_bytes, machine.swap_free_bytes
    if swap is not None:
        swap_total, swap_free = min(swap_total, swap[0]), min(swap_free, swap[1])
    return Memory(
        total_bytes=total,
        available_bytes=available,
        swap_total_bytes=swap_total,
        swap_free_bytes=swap_free,
    )


def metal_share(ram_bytes: int) -> int:
    """About what Metal recommends: two thirds of up to 16 GiB, three quarters of more."""
    return ram_bytes * 2 // 3 if ram_bytes <= 16 * 2**30 else ram_bytes * 3 // 4


def container_swap(system: Path = Path("/")) -> tuple[int, int] | None:
    """Total and free of the tightest limit on swap (version 2, or memory and swap of version 1)."""
    found = []
    for version, folder in _groups(system):
        if version == 2:
            limit = number(folder / "memory.swap.max")
            used = number(folder / "memory.swap.current")
        else:
            limit, used = (
                _less(number(folder / f"memory.memsw.{what}"), number(folder / f"memory.{what}"))
                for what in ("limit_in_bytes", "usage_in_bytes")
            )
        if limit is not None and used is not None:
            found.append((limit, max(0, limit - used)))
    return (min(one for one, _ in found), min(one for _, one in found)) if found else None


def _less(whole: int | None, part: int | None) -> int | None:
    return None if whole is None or part is None else max(0, whole - part)


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
    for version, folder in _groups(system):
        if version == 2:
            limit = number(folder / "memory.max")  # the word `max` where there is none
            used = number(folder / "memory.current")
            inactive = "inactive_file"
        else:
            limit = number(folder / "memory.limit_in_bytes")
            used = number(folder / "memory.usage_in_bytes")
            inactive = "total_inactive_file"
        if limit is not None and used is not None:
            yield limit, used, _stat(folder, inactive)


def _groups(system: Path) -> Iterator[tuple[int, Path]]:
    """The folders of our control groups that count memory, each with its version."""
    mount = system / "sys/fs/cgroup"
    for line in (read_text(system / "proc/self/cgroup") or "").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers == "":
            for folder in _outwards(mount, path):
                yield 2, folder
        elif "memory" in controllers.split(","):
            for folder in _outwards(mount / "memory", path):
                yield 1, folder


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
