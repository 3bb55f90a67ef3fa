"""What a vendor's driver is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelwidgets.device_records import Gpu
from modelwidgets.memory.ram import Memory, read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one vendor's driver says."""

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    reason: str | None = None
    """Why there is nothing, in words."""
    broken: bool = False
    """There is a driver, but it does not work: worth saying beside other GPUs too."""


class Source(Protocol):
    """One vendor's way to be asked."""

    def find(self, machine: Memory) -> Found:
        """Ask for GPUs; `machine` is the RAM that a unified GPU shares."""


def cards_of(system: Path, vendor: str) -> list[Path]:
    """The folders of the devices of one vendor that Linux has a graphics driver for."""
    cards = [
        path
        for path in (system / "sys/class/drm").glob("card*")
        if path.name[4:].isdecimal() and read_text(path / "device/vendor") == vendor
    ]
    cards.sort(key=lambda path: int(path.name[4:]))
    return [path / "device" for path in cards]
