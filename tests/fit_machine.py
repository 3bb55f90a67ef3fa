"""A machine with NVIDIA's GPUs, as their driver's double says, and a server that ran on it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from modelwidgets.device_records import Devices
from modelwidgets.memory.devices import DeviceProbe
from modelwidgets.memory.nvidia import Nvidia
from modelwidgets.memory.ram import Memory
from modelwidgets.stores.address import is_local
from tests.fake_nvml import GIB, Driver


class FitMachine:
    """One or more GPUs and RAM, of which a test says what is free."""

    def __init__(self, library: Path | None) -> None:
        self.driver = Driver(library)
        self.ram = Memory(total_bytes=64 * GIB, available_bytes=48 * GIB)
        looks = itertools.count()
        self._probe = DeviceProbe(
            [Nvidia(self.driver.bind)],
            machine=lambda: self.ram,
            clock=lambda: 10.0 * next(looks),  # each look asks anew
            environment={},
            patience_seconds=20,
            first_patience_seconds=20,
        )

    def add_gpu(self, free_gib: float, *, total_gib: int = 24) -> Any:
        """Before the first look, as with a real driver; `free` of it may be changed at any time."""
        total = total_gib * GIB
        return self.driver.add_gpu(total=total, reserved=0, free=int(free_gib * GIB))

    def devices(self) -> Devices:
        return self._probe.probe()

    def stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Be the machine of every server on loopback."""

        def local_devices(url: str) -> Devices | None:
            return self.devices() if is_local(url) else None

        for module in ("watch", "fitting"):
            monkeypatch.setattr(f"modelwidgets.{module}.local_devices", local_devices)

    def close(self) -> None:
        self.driver.state.held = 0
