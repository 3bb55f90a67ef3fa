"""The totals that Vulkan tells, for GPUs whose vendor's own way is not there.

Totals do not change, so they are asked once a process, in a process of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from modelwidgets.device_records import Gpu
from modelwidgets.memory.ram import Memory
from modelwidgets.memory.source import Found

NVIDIA, INTEL = 0x10DE, 0x8086
_CARD = 2
"""The kind of a GPU with memory of its own: 1 is one inside a processor, 4 a processor itself."""
_PATIENCE_SECONDS = 10
_NO_FREE = "the system does not tell how much memory of this GPU is free"


@dataclass(frozen=True, slots=True, kw_only=True)
class VulkanGpu:
    """What `vulkan_totals.py` prints of one."""

    name: str
    vendor: int
    device: int
    kind: int
    total_bytes: int


@cache
def vulkan_gpus() -> tuple[VulkanGpu, ...]:
    """Empty where there is no Vulkan, or its drivers do not work."""
    program = Path(__file__).with_name("vulkan_totals.py")
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(program)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_SECONDS,
            check=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        return tuple(VulkanGpu(**one) for one in json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return ()


class Vulkan:
    """Cards of other vendors than NVIDIA, for systems without files that tell of them."""

    def __init__(self, ask: Callable[[], tuple[VulkanGpu, ...]] = vulkan_gpus) -> None:
        self._ask = ask

    def find(self, machine: Memory) -> Found:  # noqa: ARG002 - what a `Source` is given
        return Found(
            gpus=tuple(
                Gpu(
                    index=0,
                    name=one.name,
                    uuid=None,
                    total_bytes=one.total_bytes,
                    free_bytes=None,
                    unified=False,
                    error=_NO_FREE,
                    library="vulkan",
                )
                for one in self._ask()
                if one.kind == _CARD and one.vendor != NVIDIA
            )
        )
