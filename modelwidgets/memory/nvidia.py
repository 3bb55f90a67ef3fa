"""NVIDIA's GPUs through NVML, the library of its driver.

NVML makes no CUDA context, so to ask costs no memory of a GPU. It knows nothing of the environment
of a process: what `CUDA_VISIBLE_DEVICES` hides is marked in `visibility.py`.
"""

from __future__ import annotations

import ctypes
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelwidgets.device_records import Gpu, GpuProcess
from modelwidgets.memory.ram import Memory, read_text
from modelwidgets.memory.source import Found


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
_CAPABILITIES_OF_64_CORES = {(6, 0), (7, 0), (7, 2), (7, 5), (8, 0)}
"""A multiprocessor has 64 cores there, elsewhere 128."""
_NO_SLICES = "this GPU is cut into slices (MIG), but there is none: `nvidia-smi mig -cgi ... -C`"
_HOST_NAMESPACE = "pid:[4026531836]"
"""Linux gives the first namespace of processes always this number."""


class Nvidia:
    """NVIDIA's GPUs through NVML, which is opened once and again after it broke."""

    def __init__(self, bind: Callable[[], Any] = _bind_nvml, *, system: Path = Path("/")) -> None:
        self._bind = bind
        self._system = system
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
        count = nvml.nvmlDeviceGetCount()
        gpus = tuple(gpu for index in range(count) for gpu in self._gpus(index, machine))
        if self._lost:
            self._close()  # opened again, NVML sees what is left or what came back
        reason = None if gpus else "the NVIDIA driver sees no GPU"
        return Found(gpus=gpus, driver=driver, reason=reason)

    def _gpus(self, index: int, machine: Memory) -> list[Gpu]:
        """The GPU of this index, or its slices: what is cut into slices is of no use itself."""
        nvml = self._nvml
        gpu = Gpu(
            index=index,
            name="NVIDIA GPU",
            uuid=None,
            total_bytes=None,
            free_bytes=None,
            unified=False,
            error=None,
            library="cuda",
        )
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            gpu = replace(gpu, name=_text(nvml.nvmlDeviceGetName(handle)))
            with suppress(nvml.NVMLError):  # virtual GPUs have none, and it is not needed
                gpu = replace(gpu, uuid=_text(nvml.nvmlDeviceGetUUID(handle)))
            gpu = self._kind(gpu, handle)
            if self._is_sliced(handle):
                slices = [self._slice(gpu, one, handle) for one in self._slices(handle)]
                return slices or [replace(gpu, error=_NO_SLICES)]
            return [self._measured(gpu, handle, handle, machine)]
        except nvml.NVMLError as error:
            return [self._failed(gpu, error)]

    def _measured(self, gpu: Gpu, handle: Any, parent: Any, machine: Memory | None) -> Gpu:
        nvml = self._nvml
        try:
            memory, reserved = self._memory(handle)
        except nvml.NVMLError as error:
            if error.value != _NOT_SUPPORTED or not gpu.unified or machine is None:
                return self._failed(gpu, error)
            # As Ollama does: a model in the GPU's memory is one in the machine's memory.
            memory, reserved = machine, None
        return replace(
            gpu,
            total_bytes=memory.total_bytes,
            free_bytes=memory.available_bytes,
            reserved_bytes=reserved,
            processes=self._processes(parent, self._instance(handle) if gpu.slice_of else None),
        )

    def _failed(self, gpu: Gpu, error: Any) -> Gpu:
        self._lost = self._lost or error.value in _LOST
        return replace(gpu, error=_GPU_ERRORS.get(error.value, f"the driver says: {error}"))

    def _kind(self, gpu: Gpu, handle: Any) -> Gpu:
        """What chip it is, as far as the driver says so."""
        capability: tuple[int, int] | None = None
        with suppress(self._nvml.NVMLError):
            major, minor = self._nvml.nvmlDeviceGetCudaComputeCapability(handle)
            capability = (int(major), int(minor))
        cores = self._asked("nvmlDeviceGetNumGpuCores", handle)
        cores_of_one = 64 if capability in _CAPABILITIES_OF_64_CORES else 128
        return replace(
            gpu,
            compute_capability=f"{capability[0]}.{capability[1]}" if capability else None,
            multiprocessors=cores // cores_of_one if cores and capability else None,
            unified=bool(_UNIFIED_NAMES.search(gpu.name)) or capability in _UNIFIED_CAPABILITIES,
        )

    def _is_sliced(self, handle: Any) -> bool:
        modes = self._asked("nvmlDeviceGetMigMode", handle)
        return bool(modes and modes[0])

    def _slices(self, handle: Any) -> Iterator[Any]:
        for number in range(self._asked("nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
            one = self._asked("nvmlDeviceGetMigDeviceHandleByIndex", handle, number)
            if one is not None:  # the others are places where a slice could be
                yield one

    def _slice(self, gpu: Gpu, handle: Any, parent: Any) -> Gpu:
        """A slice has memory and a name of its own; its programs are listed by the whole GPU."""
        nvml = self._nvml
        attributes = self._asked("nvmlDeviceGetAttributes_v2", handle)
        part = replace(
            gpu,
            name=f"{gpu.name} slice",
            uuid=None,
            slice_of=gpu.uuid or gpu.name,
            multiprocessors=int(attributes.multiprocessorCount) if attributes else None,
        )
        try:
            part = replace(part, name=_text(nvml.nvmlDeviceGetName(handle)))
            part = replace(part, uuid=_text(nvml.nvmlDeviceGetUUID(handle)))
        except nvml.NVMLError as error:
            return self._failed(part, error)
        return self._measured(part, handle, parent, None)

    def _instance(self, handle: Any) -> int | None:
        number = self._asked("nvmlDeviceGetGpuInstanceId", handle)
        return None if number is None else int(number)

    def _processes(self, handle: Any, instance: int | None) -> tuple[GpuProcess, ...]:
        """Who uses this GPU; empty where the driver does not say."""
        used: dict[int, int | None] = {}
        for kind in ("Compute", "Graphics"):
            listed = self._asked(f"nvmlDeviceGet{kind}RunningProcesses_v3", handle) or ()
            for process in listed:
                if instance is not None and process.gpuInstanceId != instance:
                    continue
                size, known = process.usedGpuMemory, used.get(process.pid)
                # A program that computes and draws is in both lists with the same memory.
                used[process.pid] = size if known is None else max(known, size or 0)
        found = [
            GpuProcess(pid=pid, name=self._program(pid), used_bytes=size)
            for pid, size in used.items()
        ]
        return tuple(sorted(found, key=lambda one: (-(one.used_bytes or 0), one.pid)))

    def _program(self, pid: int) -> str | None:
        """The name of a program, unless its number is one of another namespace than ours."""
        try:
            namespace = str((self._system / "proc/self/ns/pid").readlink())
        except OSError:  # not Linux, so there are no namespaces
            name = self._asked("nvmlSystemGetProcessName", pid)
            return re.split(r"[\\/]", _text(name))[-1] if name else None
        if namespace != _HOST_NAMESPACE:
            return None
        return read_text(self._system / f"proc/{pid}/comm") or None

    def _asked(self, function: str, *arguments: Any) -> Any:
        """What the driver says to a question that it may not know, or refuse."""
        call = getattr(self._nvml, function, None)
        if call is None:
            return None
        try:
            return call(*arguments)
        except self._nvml.NVMLError as error:
            if error.value in _LOST:
                raise
            return None

    def _memory(self, handle: Any) -> tuple[Memory, int | None]:
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
        reserved = getattr(info, "reserved", None)  # only the newer call tells it
        memory = Memory(total_bytes=int(info.total), available_bytes=int(info.free))
        return memory, None if reserved is None else int(reserved)

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
