"""What a vendor's driver is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from modelwidgets.memory.ram import Memory
from modelwidgets.records import Gpu


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
