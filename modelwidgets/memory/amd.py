"""AMD's GPUs as Linux lists them under `sys/class/drm`.

The files of the driver give name and memory without a library. ROCm's `amdsmi`, where it is
installed, adds which programs use the memory; it is asked only where there is such a GPU.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelwidgets.device_records import Gpu, GpuProcess
from modelwidgets.memory.ram import Memory, number, read_text
from modelwidgets.memory.source import Found, cards_of

_VENDOR = "0x1002"
_FIRST_REVISION_OF_APUS = 2
"""Of the driver's table of metrics: 1 is that of cards."""


def _bind_amdsmi() -> Any:
    """ROCm's binding; it fails in several ways where its library is not there."""
    try:
        return importlib.import_module("amdsmi")
    except (ImportError, OSError, KeyError, AttributeError):
        return None


class Amd:
    """Cards, and processors whose GPU takes its memory from the RAM (APUs)."""

    def __init__(self, system: Path = Path("/"), bind: Callable[[], Any] = _bind_amdsmi) -> None:
        self._system = system
        self._bind = bind
        self._smi: Any = None
        self._bound = False

    def find(self, machine: Memory) -> Found:
        devices = cards_of(self._system, _VENDOR)
        programs = self._programs() if devices else {}
        return Found(gpus=tuple(self._gpu(device, machine, programs) for device in devices))

    def _gpu(
        self, device: Path, machine: Memory, programs: Mapping[str, Sequence[GpuProcess]]
    ) -> Gpu:
        total, used = (number(device / f"mem_info_vram_{what}") for what in ("total", "used"))
        shared, taken = (number(device / f"mem_info_gtt_{what}") for what in ("total", "used"))
        # The driver tells what is used instead of what is free.
        free = None if total is None or used is None else max(0, total - used)
        unified = _is_apu(device) and free is not None
        if unified and total is not None and free is not None and None not in (shared, taken):
            room = max(0, (shared or 0) - (taken or 0))
            total, free = total + (shared or 0), free + min(room, machine.available_bytes)
        unique = read_text(device / "unique_id")
        return Gpu(
            index=0,
            name=self._name(device),
            uuid=f"GPU-{unique}" if unique else None,
            total_bytes=total,
            free_bytes=free,
            unified=unified,
            error=None if free is not None else _NO_MEMORY,
            library="rocm",
            processes=tuple(programs.get(_address(device), ())),
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

    def _programs(self) -> dict[str, list[GpuProcess]]:
        """By the PCI address of a GPU who uses it; nothing where `amdsmi` is missing or refuses."""
        if not self._bound:
            self._bound = True
            smi = self._bind()
            if smi is not None:
                with suppress(smi.AmdSmiException):
                    smi.amdsmi_init()
                    self._smi = smi
        if self._smi is None:
            return {}
        found: dict[str, list[GpuProcess]] = {}
        with suppress(self._smi.AmdSmiException):
            for handle in self._smi.amdsmi_get_processor_handles():
                with suppress(self._smi.AmdSmiException):  # one refused, the others may answer
                    address = self._smi.amdsmi_get_gpu_device_bdf(handle).lower()
                    listed = self._smi.amdsmi_get_gpu_process_list(handle)
                    found[address] = sorted(
                        (_process(one) for one in listed),
                        key=lambda one: (-(one.used_bytes or 0), one.pid),
                    )
        return found


_NO_MEMORY = "the amdgpu driver does not tell the memory of this GPU"


def _process(listed: Mapping[str, Any]) -> GpuProcess:
    name, used = str(listed["name"]), listed.get("memory_usage", {}).get("vram_mem")
    return GpuProcess(
        pid=int(listed["pid"]),
        name=None if name == "N/A" else name.rpartition("/")[2],
        used_bytes=int(used) if isinstance(used, int) else None,
    )


def _address(device: Path) -> str:
    for line in (read_text(device / "uevent") or "").splitlines():
        key, _, value = line.partition("=")
        if key == "PCI_SLOT_NAME":
            return value.lower()
    return ""


def _is_apu(device: Path) -> bool:
    """Cards and processors fill in different tables of metrics, whose third byte says which."""
    try:
        with (device / "gpu_metrics").open("rb") as file:
            head = file.read(4)
    except OSError:
        return False
    return len(head) == 4 and head[2] >= _FIRST_REVISION_OF_APUS
