"""The GPU of an Apple chip."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from modelwidgets.device_records import Gpu
from modelwidgets.memory.ram import Memory, metal_share
from modelwidgets.memory.source import Found


def _sysctl(*names: str) -> list[str]:
    """The values of the names that this macOS knows, in their order."""
    done = subprocess.run(
        ["/usr/sbin/sysctl", "-n", *names], capture_output=True, text=True, timeout=2, check=False
    )
    return done.stdout.splitlines()


class Apple:
    """The GPU of an Apple chip, which may use a part of the machine's memory."""

    def __init__(self, sysctl: Callable[..., list[str]] = _sysctl) -> None:
        self._sysctl = sysctl

    def find(self, machine: Memory) -> Found:
        try:
            chip, *limits = self._sysctl("machdep.cpu.brand_string", "iogpu.wired_limit_mb")
        except (OSError, subprocess.SubprocessError, ValueError):
            return Found(reason="macOS does not tell which chip this is")
        if not chip.startswith("Apple"):
            return Found(reason="no GPU that models can use on a Mac with an Intel chip")
        limit_mib = int(limits[0]) if limits and limits[0].isdecimal() else 0
        total = limit_mib * 2**20 or metal_share(machine.total_bytes)
        gpu = Gpu(
            index=0,
            name=chip,
            uuid=None,
            total_bytes=total,
            free_bytes=min(total, machine.available_bytes),
            unified=True,
            error=None,
            assumed=limit_mib == 0,
            library="metal",
        )
        return Found(gpus=(gpu,))
