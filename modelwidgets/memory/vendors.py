"""The GPUs of AMD on Linux and of Apple, which need no library of theirs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from modelwidgets.memory.ram import Memory, metal_share, number, read_text
from modelwidgets.memory.source import Found
from modelwidgets.records import Gpu

# AMD


class Amd:
    """AMD's GPUs as Linux lists them under `sys/class/drm`; no library is needed."""

    def __init__(self, system: Path = Path("/")) -> None:
        self._system = system

    def find(self, machine: Memory) -> Found:  # noqa: ARG002 - what a `Source` is given
        cards = [
            path
            for path in (self._system / "sys/class/drm").glob("card*")
            if path.name[4:].isdecimal() and read_text(path / "device/vendor") == "0x1002"
        ]
        cards.sort(key=lambda path: int(path.name[4:]))
        return Found(gpus=tuple(self._gpu(path / "device") for path in cards))

    def _gpu(self, device: Path) -> Gpu:
        total = number(device / "mem_info_vram_total")
        used = number(device / "mem_info_vram_used")
        known = total is not None and used is not None
        return Gpu(
            index=0,
            name=self._name(device),
            uuid=None,
            total_bytes=total,
            # The driver tells what is used instead of what is free.
            free_bytes=max(0, total - used) if total is not None and used is not None else None,
            unified=False,
            error=None if known else "the amdgpu driver does not tell the memory of this GPU",
        )

    def _name(self, device: Path) -> str:
        """The name that libdrm's table gives to the PCI id, where that table is installed."""
        if product := read_text(device / "product_name"):
            return product
        chip, revision = read_text(device / "device") or "", read_text(device / "revision") or ""
        wanted = (chip.removeprefix("0x").lower(), revision.removeprefix("0x").lower())
        for table in ("usr/share/libdrm/amdgpu.ids", "opt/amdgpu/share/libdrm/amdgpu.ids"):
            for line in (read_text(self._system / table) or "").splitlines():
                columns = [column.strip() for column in line.split(",", 2)]
                if len(columns) == 3 and (columns[0].lower(), columns[1].lower()) == wanted:
                    return columns[2]
        return "AMD GPU"


# Apple


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
        )
        return Found(gpus=(gpu,))
