"""Sizes as a person reads them: disk and downloads in powers of 1000, memory in powers of 1024."""

from __future__ import annotations

UNKNOWN = "unknown"


def gb(size_bytes: float | None) -> str:
    """A size on disk or on the wire, in powers of 1000: `2.0 GB`, `274 MB`."""
    if size_bytes is None:
        return UNKNOWN
    unit = _disk_unit(size_bytes)
    return f"{_in_unit(size_bytes, unit)} {unit}"


def gb_of(part_bytes: int, total_bytes: int | None) -> str:
    """Two sizes in the unit of the second: `4.7 of 8.1 GB`."""
    if total_bytes is None:
        return gb(part_bytes)
    unit = _disk_unit(total_bytes)
    return f"{_in_unit(part_bytes, unit)} of {_in_unit(total_bytes, unit)} {unit}"


def gib(size_bytes: float | None) -> str:
    """A size in memory, in powers of 1024: `23.5 GiB`."""
    return UNKNOWN if size_bytes is None else f"{digits(size_bytes / 2**30)} GiB"


def gib_of(part_bytes: int, total_bytes: int, *, about: bool = False) -> str:
    """Two sizes in memory: `6.1 of 24.0 GiB`; `about` marks a total that is only assumed."""
    mark = "about " if about else ""
    return f"{digits(part_bytes / 2**30)} of {mark}{digits(total_bytes / 2**30)} GiB"


_DISK_UNITS = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3, "B": 1}


def _disk_unit(size_bytes: float) -> str:
    """The largest unit that is filled, counting what would read as 1000 of the smaller one."""
    filled = (unit for unit, size in _DISK_UNITS.items() if size_bytes >= 0.9995 * size)
    return next(filled, "B")


def _in_unit(size_bytes: float, unit: str) -> str:
    value = size_bytes / _DISK_UNITS[unit]
    fine = value < 9.95 if unit in ("MB", "kB") else unit != "B"
    return digits(value) if fine else f"{value:.0f}"


def digits(value: float) -> str:
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def percent(part: int, total: int) -> str:
    """A share with one decimal, rounded down, so that 100.0% stands for nothing less."""
    thousandths = min(part, total) * 1000 // total if total > 0 else 1000
    return f"{thousandths // 10}.{thousandths % 10}%"
