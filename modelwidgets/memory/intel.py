"""Intel's cards as Linux lists them.

Their drivers tell no memory in any file, so the total is that of the card's PCI id, or for one that
is not known here what Vulkan says. GPUs inside a
processor are left out: they share its memory, and Ollama leaves them out too unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from modelwidgets.device_records import Gpu
from modelwidgets.memory.ram import Memory, read_text
from modelwidgets.memory.source import Found, cards_of
from modelwidgets.memory.vulkan import INTEL, VulkanGpu, vulkan_gpus

_VENDOR = "0x8086"
_INSIDE_A_PROCESSOR = ":00:02.0"
"""The PCI address that all of these have."""
# From the PCI ids of the xe and i915 drivers and Intel's data sheets, as of 2026-11.
_CARDS = {
    "0x56a0": ("Intel Arc A770", 16),
    "0x56a1": ("Intel Arc A750", 8),
    "0x56a2": ("Intel Arc A580", 8),
    "0x56a5": ("Intel Arc A380", 6),
    "0xe20b": ("Intel Arc B580", 12),
    "0xe20c": ("Intel Arc B570", 10),
}
_NO_FREE = "Intel's driver does not tell how much memory of this GPU is free"
_NO_MEMORY = "Intel's driver does not tell the memory of this GPU"


class Intel:
    """Cards only."""

    def __init__(
        self,
        system: Path = Path("/"),
        ask: Callable[[], tuple[VulkanGpu, ...]] = vulkan_gpus,
    ) -> None:
        self._system = system
        self._ask = ask

    def find(self, machine: Memory) -> Found:  # noqa: ARG002 - what a `Source` is given
        devices = [
            device
            for device in cards_of(self._system, _VENDOR)
            if _INSIDE_A_PROCESSOR not in (read_text(device / "uevent") or "")
        ]
        return Found(gpus=tuple(self._gpu(device) for device in devices))

    def _gpu(self, device: Path) -> Gpu:
        chip = (read_text(device / "device") or "").lower()
        name, gib = _CARDS.get(chip, ("Intel GPU", None))
        total = None if gib is None else gib * 2**30
        if gib is None:
            for one in self._ask():
                if one.vendor == INTEL and f"{one.device:#06x}" == chip:
                    name, total = one.name, one.total_bytes
        return Gpu(
            index=0,
            name=name,
            uuid=None,
            total_bytes=total,
            free_bytes=None,
            unified=False,
            error=_NO_MEMORY if total is None else _NO_FREE,
            assumed=gib is not None,
            library="vulkan",
        )
