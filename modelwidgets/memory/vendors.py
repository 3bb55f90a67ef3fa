"""How each vendor's driver is asked for its GPUs: NVIDIA, AMD on Linux, Apple."""

from __future__ import annotations

import ctypes
import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from modelwidgets.memory.ram import Memory, number, read_text
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


# NVIDIA


def _bind_nvml() -> Any:
    """Import NVML's binding, which costs 50 ms or more, only where there is a driver to bind."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libnvidia-ml.so.1")
        except OSError:
            return None
    return importlib.import_module("pynvml")


# Codes of nvmlReturn_t
_UNINITIALIZED = 1
_NOT_SUPPORTED = 3
_NO_PERMISSION = 4
_DRIVER_NOT_LOADED = 9
_LIBRARY_NOT_FOUND = 12
_FUNCTION_NOT_FOUND = 13
_GPU_IS_LOST = 15
_RESET_REQUIRED = 16
_LIB_RM_VERSION_MISMATCH = 18
_ARGUMENT_VERSION_MISMATCH = 25
_UNKNOWN = 999

_LOST = {_UNINITIALIZED, _GPU_IS_LOST, _RESET_REQUIRED}

_NO_DRIVER = "no NVIDIA driver here"
_DRIVER_REASONS = {
    _NO_PERMISSION: "the NVIDIA driver refuses this user or container: "
    "give it access to the files /dev/nvidia*",
    _DRIVER_NOT_LOADED: "the NVIDIA driver is installed but not loaded: "
    "load it (`modprobe nvidia`) or restart the computer",
    _LIB_RM_VERSION_MISMATCH: "the NVIDIA driver was updated: restart the computer",
    _UNKNOWN: "the NVIDIA driver answers with an unknown error: "
    "in a container, start it again with its GPUs",
}
_GPU_ERRORS = {
    _NOT_SUPPORTED: "the driver does not tell the memory of this GPU",
    _NO_PERMISSION: "this GPU is not open to this user or container",
    _GPU_IS_LOST: "this GPU is lost: it was unplugged or has failed, restart the computer",
    _RESET_REQUIRED: "this GPU must be reset: restart the computer",
    _UNKNOWN: "the driver answers with an unknown error for this GPU",
}
_OTHER_PYNVML = (
    "another package stands in the place of NVIDIA's `pynvml`: "
    "`pip uninstall pynvml`, `pip install --force-reinstall nvidia-ml-py`, then restart Python"
)
_NO_PYNVML = "NVIDIA's `pynvml` is not installed: `pip install nvidia-ml-py`"
_NEEDED = (
    "NVMLError",
    "nvmlInit",
    "nvmlShutdown",
    "nvmlSystemGetDriverVersion",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetName",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetCudaComputeCapability",
    "nvmlMemory_v2",
)
# Chips whose only memory is the machine's: Grace-Blackwell desktops and the Jetson family.
_UNIFIED_NAMES = re.compile(r"\b(GB10|Orin|Thor|Xavier|Tegra)\b", re.IGNORECASE)
_UNIFIED_CAPABILITIES = {(8, 7), (11, 0), (12, 1)}


class Nvidia:
    """NVIDIA's GPUs through NVML, which is opened once and again after it broke."""

    def __init__(self, bind: Callable[[], Any] = _bind_nvml) -> None:
        self._bind = bind
        self._nvml: Any = None
        self._open = False
        self._lost = False

    def find(self, machine: Memory) -> Found:
        if self._nvml is None:
            try:
                nvml = self._bind()
            except ModuleNotFoundError:
                return Found(reason=_NO_PYNVML, broken=True)
            except (ImportError, SyntaxError):
                return Found(reason=_OTHER_PYNVML, broken=True)
            if nvml is None:
                return Found(reason=_NO_DRIVER)
            if not all(hasattr(nvml, name) for name in _NEEDED):
                return Found(reason=_OTHER_PYNVML, broken=True)
            self._nvml = nvml
        was_open = self._open
        try:
            return self._ask(machine)
        except self._nvml.NVMLError as error:
            self._close()
            if not was_open:
                return _no_driver(error)
        # It broke since the last probe: someone else closed it, or the driver was reloaded.
        try:
            return self._ask(machine)
        except self._nvml.NVMLError as error:
            self._close()
            return _no_driver(error)

    def _ask(self, machine: Memory) -> Found:
        nvml = self._nvml
        if not self._open:
            nvml.nvmlInit()
            self._open = True
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        gpus = tuple(self._gpu(index, machine) for index in range(nvml.nvmlDeviceGetCount()))
        if self._lost:
            self._close()  # opened again, NVML sees what is left or what came back
        reason = None if gpus else "the NVIDIA driver sees no GPU"
        return Found(gpus=gpus, driver=driver, reason=reason)

    def _gpu(self, index: int, machine: Memory) -> Gpu:
        nvml = self._nvml
        gpu = Gpu(
            index=index,
            name="NVIDIA GPU",
            uuid=None,
            total_bytes=None,
            free_bytes=None,
            unified=False,
            error=None,
        )
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            gpu = replace(gpu, name=_text(nvml.nvmlDeviceGetName(handle)))
            gpu = replace(gpu, unified=self._is_unified(handle, gpu.name))
            with suppress(nvml.NVMLError):  # virtual GPUs have none, and it is not needed
                gpu = replace(gpu, uuid=_text(nvml.nvmlDeviceGetUUID(handle)))
            memory = self._memory(handle)
        except nvml.NVMLError as error:
            if error.value != _NOT_SUPPORTED or not gpu.unified:
                self._lost = self._lost or error.value in _LOST
                return replace(gpu, error=_GPU_ERRORS.get(error.value, f"the driver says: {error}"))
            # As Ollama does: a model in the GPU's memory is one in the machine's memory.
            memory = machine
        return replace(gpu, total_bytes=memory.total_bytes, free_bytes=memory.available_bytes)

    def _memory(self, handle: Any) -> Memory:
        """Total and free as the driver says; used means different things in different drivers."""
        nvml = self._nvml
        try:
            info = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
        except nvml.NVMLError as error:
            if error.value not in (
                _FUNCTION_NOT_FOUND,
                _ARGUMENT_VERSION_MISMATCH,
                _NOT_SUPPORTED,
            ):
                raise
            info = nvml.nvmlDeviceGetMemoryInfo(handle)
        if info.total == 0:
            raise nvml.NVMLError(_NOT_SUPPORTED)
        return Memory(total_bytes=int(info.total), available_bytes=int(info.free))

    def _is_unified(self, handle: Any, name: str) -> bool:
        if _UNIFIED_NAMES.search(name):
            return True
        try:
            capability = self._nvml.nvmlDeviceGetCudaComputeCapability(handle)
        except self._nvml.NVMLError:
            return False
        return tuple(capability) in _UNIFIED_CAPABILITIES

    def _close(self) -> None:
        if self._open:
            self._open = self._lost = False
            with suppress(self._nvml.NVMLError):  # what is gone cannot be closed
                self._nvml.nvmlShutdown()


def _no_driver(error: Any) -> Found:
    if error.value == _LIBRARY_NOT_FOUND:
        return Found(reason=_NO_DRIVER)
    other = f"the NVIDIA driver does not work ({error}): restart the computer"
    return Found(reason=_DRIVER_REASONS.get(error.value, other), broken=True)


def _text(value: str | bytes) -> str:
    """NVML's strings are bytes in older bindings."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


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
        total = limit_mib * 2**20 or _metal_share(machine.total_bytes)
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


def _metal_share(ram_bytes: int) -> int:
    """About what Metal recommends: two thirds of up to 16 GiB, three quarters of more."""
    return ram_bytes * 2 // 3 if ram_bytes <= 16 * 2**30 else ram_bytes * 3 // 4
