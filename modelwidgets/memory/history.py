"""The free memory of the GPUs over the last minutes, as far as somebody looked."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from modelwidgets.device_records import Devices, MemorySample

KEPT = timedelta(minutes=10)
APART = timedelta(seconds=5)
"""Samples that follow each other faster (ten clicks on refresh) tell nothing more."""


class MemoryHistory:
    """Samples of the GPUs that are there; other GPUs begin anew."""

    def __init__(self) -> None:
        self._samples: deque[MemorySample] = deque()
        self._gpus: tuple[str, ...] = ()

    def add(self, devices: Devices | None, now: datetime) -> tuple[MemorySample, ...]:
        """Note what is free now; gives all that is known of the last minutes."""
        gpus = tuple(
            f"{gpu.index} {gpu.name} {gpu.uuid}" for gpu in (devices.gpus if devices else ())
        )
        samples = self._samples
        if gpus != self._gpus:
            self._gpus = gpus
            samples.clear()
        while samples and (samples[0].at < now - KEPT or samples[-1].at > now):
            samples.popleft()  # also where the clock was set back
        if devices and gpus and not (samples and samples[-1].at > now - APART):
            free = tuple(gpu.free_bytes for gpu in devices.gpus)
            samples.append(MemorySample(at=now, free_bytes=free))
        return tuple(samples)
