"""Two doubles of NVIDIA's driver that play one script: a `Driver` with its GPUs.

The first is `fake_nvml.c`, compiled and driven through the real `pynvml`; it is used on Linux
where there is a C compiler. The second is written in Python and stands in for `pynvml` itself, so
that machines without a compiler run the same cases.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

SOURCE = Path(__file__).with_name("fake_nvml.c")
GIB = 2**30
_MOST_GPUS = _MOST_PROCESSES = 8
UNKNOWN_BYTES = 2**64 - 1
"""How the driver says that it does not know what a program uses."""


class _Process(ctypes.Structure):
    _fields_ = [
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


class _Gpu(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char * 96),
        ("uuid", ctypes.c_char * 96),
        *((field, ctypes.c_ulonglong) for field in ("total", "reserved", "free", "used")),
        *(
            (field, ctypes.c_int)
            for field in (
                *("handle_result", "name_result", "uuid_result"),
                *("memory_result", "memory_v2_result", "major", "minor", "gone"),
                *("cores", "multiprocessors", "sliced", "parent", "instance"),
                *("process_result", "process_count", "graphics_count"),
            )
        ),
        ("processes", _Process * _MOST_PROCESSES),
    ]


class _State(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_char * 80),
        *(
            (field, ctypes.c_int)
            for field in (
                *("init_result", "count_result", "count"),
                *("open", "inits", "shutdowns", "memory_calls", "held"),
            )
        ),
        ("visible", ctypes.c_int * _MOST_GPUS),
        ("visible_count", ctypes.c_int),
        ("gpus", _Gpu * _MOST_GPUS),
    ]


class Driver:
    """A driver as a test wants it; `bind()` gives the module that asks it."""

    def __init__(self, library: Path | None) -> None:
        """`library` is the folder of a compiled double; None takes the one in Python."""
        self.state = _State(version=b"580.65.06")
        self.library = library
        self.installed = True
        """False: no library of NVIDIA's is found."""
        self.old = False
        """True: a driver without the newer memory call."""

    def add_gpu(
        self,
        name: str = "NVIDIA GeForce RTX 4090",
        *,
        total: int = 24 * GIB,
        reserved: int = GIB // 2,
        free: int = 20 * GIB,
        capability: tuple[int, int] = (8, 9),
        cores: int = 16384,
        sliced: int = -1,
        **results: int,
    ) -> Any:
        """Plug in a GPU; `results` are the codes of its calls: `memory_result=3`."""
        gpu = self.state.gpus[self.state.count]
        gpu.name = name.encode()
        gpu.uuid = f"GPU-{self.state.count:08d}-aaaa-bbbb-cccc-0123456789ab".encode()
        gpu.total, gpu.reserved, gpu.free = total, reserved, free
        gpu.used = max(0, total - reserved - free)
        gpu.major, gpu.minor = capability
        gpu.cores, gpu.sliced = cores, sliced
        for field, code in results.items():
            if not field.endswith("_result"):
                raise TypeError(field)
            setattr(gpu, field, code)
        self.state.count += 1
        return gpu

    def add_slice(
        self, parent: Any, name: str, *, total: int, free: int, multiprocessors: int
    ) -> Any:
        """Cut a slice (MIG) from a GPU that was added with `sliced=1`."""
        index = next(
            index for index in range(self.state.count) if self.state.gpus[index].uuid == parent.uuid
        )
        part = self.add_gpu(name, total=total, reserved=0, free=free, cores=0)
        part.uuid = f"MIG-{self.state.count:08d}-dddd-eeee-ffff-0123456789ab".encode()
        part.parent, part.instance = index + 1, self.state.count
        part.multiprocessors = multiprocessors
        return part

    def add_process(
        self, gpu: Any, pid: int, used: int, *, draws: bool = False, instance: int = 0
    ) -> None:
        """Let a program use the GPU; those that compute are added before those that draw."""
        process = gpu.processes[gpu.process_count]
        process.pid, process.used, process.gpu_instance = pid, used, instance
        gpu.process_count += 1
        gpu.graphics_count += draws

    def bind(self) -> Any:
        """What `import pynvml` would give on a machine with this driver."""
        if self.library is None:
            return _PythonNvml(self)
        pynvml: Any = _own_pynvml()
        pynvml.CDLL = self._open
        pynvml.nvmlLib = None
        pynvml._nvmlGetFunctionPointer_cache.clear()
        return pynvml

    def give_state(self, library: ctypes.CDLL) -> None:
        """Let a loaded C double play this script."""
        library.fake_use.argtypes = [ctypes.c_void_p]
        library.fake_use(ctypes.addressof(self.state))

    def _open(self, _name: str) -> ctypes.CDLL:
        if not self.installed:
            raise OSError("libnvidia-ml.so.1: cannot open shared object file")
        assert self.library is not None
        folder = self.library / "old" if self.old else self.library
        library = ctypes.CDLL(str(folder / "libnvidia-ml.so.1"))
        self.give_state(library)
        return library


def compiler() -> str | None:
    """The C compiler to build the double with, where NVIDIA's library is a shared object."""
    return shutil.which("cc") or shutil.which("gcc") if sys.platform == "linux" else None


def compile_doubles(folder: Path) -> None:
    """Build the double into `folder`, and the one of an old driver into `folder/old`.

    Neither bears a soname: loading one by its path must not make it the driver of the process.
    """
    command = compiler()
    assert command is not None
    warnings = ["-Wall", "-Wextra", "-Werror"]
    for target, flags in ((folder, []), (folder / "old", ["-DOLD_DRIVER"])):
        target.mkdir(parents=True, exist_ok=True)
        library = target / "libnvidia-ml.so.1"
        subprocess.run(
            [command, *warnings, "-shared", "-fPIC", *flags, str(SOURCE), "-o", str(library)],
            check=True,
            timeout=60,
        )


@functools.cache
def _own_pynvml() -> ModuleType:
    """The real `pynvml` a second time, so that nobody else sees the library that it loads."""
    found = importlib.util.find_spec("pynvml")
    assert found is not None
    assert found.origin is not None
    name = "pynvml_of_the_tests"
    loader = importlib.machinery.SourceFileLoader(name, found.origin)
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # it looks itself up while it makes its error classes
    try:
        loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module


class _NvmlError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"code {value}")
        self.value = value


def _check(code: int) -> None:
    if code:
        raise _NvmlError(code)


class _PythonNvml:
    """What the package uses of `pynvml`, with the answers that the C double gives."""

    NVMLError = _NvmlError
    nvmlMemory_v2 = 0x02000028  # noqa: N815 - the spelling of `pynvml`

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._state = driver.state

    def nvmlInit(self) -> None:  # noqa: N802 - as above, also below
        if not self._driver.installed:
            raise _NvmlError(12)
        state = self._state
        state.inits += 1
        _check(state.init_result)
        state.open = 1
        visible = [
            index
            for index in range(state.count)
            if not state.gpus[index].gone and not state.gpus[index].parent
        ]
        state.visible[: len(visible)] = visible
        state.visible_count = len(visible)

    def nvmlShutdown(self) -> None:  # noqa: N802
        self._must_be_open()
        self._state.open = 0
        self._state.shutdowns += 1

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        self._must_be_open()
        return str(self._state.version.decode())

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self._must_be_open()
        _check(self._state.count_result)
        return int(self._state.visible_count)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:  # noqa: N802
        self._must_be_open()
        gpu = self._state.gpus[self._state.visible[index]]
        _check(gpu.handle_result)
        return gpu

    def nvmlDeviceGetName(self, gpu: Any) -> str:  # noqa: N802
        self._must_be_there(gpu)
        _check(gpu.name_result)
        return str(gpu.name.decode())

    def nvmlDeviceGetUUID(self, gpu: Any) -> str:  # noqa: N802
        self._must_be_there(gpu)
        _check(gpu.uuid_result)
        return str(gpu.uuid.decode())

    def nvmlDeviceGetCudaComputeCapability(self, gpu: Any) -> tuple[int, int]:  # noqa: N802
        self._must_be_there(gpu)
        return gpu.major, gpu.minor

    def nvmlDeviceGetNumGpuCores(self, gpu: Any) -> int:  # noqa: N802
        self._must_be_new(gpu)
        _check(0 if gpu.cores else 3)
        return int(gpu.cores)

    def nvmlDeviceGetAttributes_v2(self, gpu: Any) -> Any:  # noqa: N802
        self._must_be_new(gpu)
        _check(0 if gpu.parent else 3)
        return SimpleNamespace(multiprocessorCount=gpu.multiprocessors)

    def nvmlDeviceGetMigMode(self, gpu: Any) -> list[int]:  # noqa: N802
        self._must_be_new(gpu)
        _check(3 if gpu.sliced < 0 or gpu.parent else 0)
        return [gpu.sliced, gpu.sliced]

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: Any) -> int:  # noqa: N802
        self._must_be_new(gpu)
        return 0 if gpu.sliced < 0 else 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: Any, index: int) -> Any:  # noqa: N802
        self._must_be_new(gpu)
        every = [self._state.gpus[number] for number in range(self._state.count)]
        whole = next(number for number, one in enumerate(every) if one.uuid == gpu.uuid)
        slices = [one for one in every if one.parent == whole + 1]
        _check(0 if 0 < index <= len(slices) else 6)
        return slices[index - 1]

    def nvmlDeviceGetGpuInstanceId(self, gpu: Any) -> int:  # noqa: N802
        self._must_be_new(gpu)
        _check(0 if gpu.parent else 3)
        return int(gpu.instance)

    def nvmlDeviceGetComputeRunningProcesses_v3(self, gpu: Any) -> list[Any]:  # noqa: N802
        return self._processes(gpu, 0, gpu.process_count - gpu.graphics_count)

    def nvmlDeviceGetGraphicsRunningProcesses_v3(self, gpu: Any) -> list[Any]:  # noqa: N802
        return self._processes(gpu, gpu.process_count - gpu.graphics_count, gpu.process_count)

    def _processes(self, gpu: Any, first: int, end: int) -> list[Any]:
        self._must_be_new(gpu)
        _check(gpu.process_result or (3 if gpu.parent else 0))
        return [
            SimpleNamespace(
                pid=process.pid,
                usedGpuMemory=None if process.used == UNKNOWN_BYTES else process.used,
                gpuInstanceId=process.gpu_instance,
            )
            for process in gpu.processes[first:end]
        ]

    def nvmlSystemGetProcessName(self, pid: int) -> str:  # noqa: N802
        self._must_be_open()
        _check(6 if pid == 1 else 0)
        return "C:\\Program Files\\Ollama\\ollama.exe"

    def nvmlDeviceGetMemoryInfo(self, gpu: Any, version: int | None = None) -> Any:  # noqa: N802
        if version and self._driver.old:
            raise _NvmlError(13)
        self._must_be_there(gpu)
        self._state.memory_calls += 1
        while self._state.held:
            time.sleep(0.001)
        _check(gpu.memory_v2_result if version else gpu.memory_result)
        if not version:
            return SimpleNamespace(total=gpu.total, free=gpu.free, used=gpu.used + gpu.reserved)
        if version != self.nvmlMemory_v2:
            raise _NvmlError(25)
        return SimpleNamespace(total=gpu.total, reserved=gpu.reserved, free=gpu.free, used=gpu.used)

    def _must_be_open(self) -> None:
        if not self._state.open:
            raise _NvmlError(1)

    def _must_be_new(self, gpu: Any) -> None:
        if self._driver.old:
            raise _NvmlError(13)
        self._must_be_there(gpu)

    def _must_be_there(self, gpu: Any) -> None:
        self._must_be_open()
        if gpu.gone:
            raise _NvmlError(15)
