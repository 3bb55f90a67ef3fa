"""The GPUs and the RAM of this machine.

Why a thread: a driver may take seconds to wake a sleeping GPU, and nobody who looks at a table
wants to wait for that. Each probe asks in a thread of its own and waits for it as long as its
patience lasts; a late answer serves the next probe. Only the very first one is waited for longer,
because opening the driver takes time and there is nothing to show yet. NVML then stays open, so
that asking again takes a millisecond; it makes no CUDA context and costs no GPU memory.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

from modelwidgets.device_records import Devices, Gpu
from modelwidgets.memory.amd import Amd
from modelwidgets.memory.apple import Apple
from modelwidgets.memory.intel import Intel
from modelwidgets.memory.nvidia import Nvidia
from modelwidgets.memory.ram import Memory, limited, machine_memory
from modelwidgets.memory.source import Found, Source
from modelwidgets.memory.visibility import marked
from modelwidgets.memory.vulkan import Vulkan
from modelwidgets.stores.address import is_local

_KEPT_SECONDS = 2.0
_PATIENCE_SECONDS = 0.04
_FIRST_PATIENCE_SECONDS = 2.0
_LATE = "the GPU driver has not answered yet: try again in a moment"


def local_devices(url: str) -> Devices | None:
    """The devices of the server at `url` where it runs on this machine; None says nothing of it.

    What a machine has says nothing of what another one has, so a remote server is never judged by
    the GPUs here.
    """
    return probe_devices() if is_local(url) else None


def probe_devices() -> Devices:
    """Ask the drivers, at most once in two seconds; a slow driver is not waited for.

    Returns within 50 ms, but for the first call on a machine with a GPU, which opens its driver.
    """
    # A forked child inherits neither the threads nor the open driver: each process has its own.
    pid = os.getpid()
    if pid not in _probes:
        _probes.setdefault(pid, DeviceProbe())
    return _probes[pid].probe()


class DeviceProbe:
    """Asks the drivers for one process and keeps the answer for two seconds; thread-safe."""

    def __init__(
        self,
        sources: Sequence[Source] | None = None,
        *,
        system: Path = Path("/"),
        machine: Callable[[], Memory] = machine_memory,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        patience_seconds: float = _PATIENCE_SECONDS,
        first_patience_seconds: float = _FIRST_PATIENCE_SECONDS,
    ) -> None:
        self._sources = _sources(system) if sources is None else tuple(sources)
        self._system = system
        self._machine = machine
        self._environment = environment
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._first_patience_seconds = first_patience_seconds
        self._lock = threading.Lock()
        self._asking: Future[Devices] | None = None
        self._known: Devices | None = None
        self._known_at = 0.0
        self._waited_once = False

    def probe(self) -> Devices:
        with self._lock:
            if self._known and self._clock() - self._known_at < _KEPT_SECONDS:
                return self._known
            asking = self._asking
            if asking is None:
                asking = Future()
                threading.Thread(
                    target=self._ask, args=(asking,), name="modelwidgets-devices", daemon=True
                ).start()
                self._asking = asking
            patience = self._patience_seconds if self._waited_once else self._first_patience_seconds
        try:
            return asking.result(timeout=patience)
        except TimeoutError:
            return self._without_answer()
        finally:
            self._waited_once = True

    def _ask(self, asking: Future[Devices]) -> None:
        try:
            machine = self._machine()
            devices = self._devices([source.find(machine) for source in self._sources], machine)
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
            with self._lock:
                self._asking = None
            asking.set_exception(error)
        else:
            with self._lock:
                self._known, self._known_at, self._asking = devices, self._clock(), None
            asking.set_result(devices)

    def _devices(self, found: Sequence[Found], machine: Memory) -> Devices:
        gpus = [gpu for one in found for gpu in one.gpus]
        reasons = [one.reason for one in found if one.reason and (one.broken or not gpus)]
        numbered = [replace(gpu, index=index) for index, gpu in enumerate(gpus)]
        return self._with_ram(
            machine,
            gpus=marked(numbered, self._environment),
            driver=next((one.driver for one in found if one.driver), None),
            reason="; ".join(reasons) or None,
        )

    def _without_answer(self) -> Devices:
        """The GPUs seen last, without their free memory, which nobody knows now."""
        known = self._known
        return self._with_ram(
            self._machine(),
            gpus=tuple(
                replace(gpu, free_bytes=None, error=_LATE) for gpu in (known.gpus if known else ())
            ),
            driver=known.driver if known else None,
            reason=_LATE,
        )

    def _with_ram(
        self, machine: Memory, *, gpus: tuple[Gpu, ...], driver: str | None, reason: str | None
    ) -> Devices:
        ram = limited(machine, self._system)
        return Devices(
            gpus=gpus,
            driver=driver,
            reason=reason,
            ram_total_bytes=ram.total_bytes,
            ram_available_bytes=ram.available_bytes,
            swap_total_bytes=ram.swap_total_bytes,
            swap_free_bytes=ram.swap_free_bytes,
        )


_probes: dict[int, DeviceProbe] = {}


def _sources(system: Path) -> tuple[Source, ...]:
    if sys.platform == "darwin":
        return (Apple(),)
    if sys.platform == "win32":
        return (Nvidia(), Vulkan())
    return (Nvidia(system=system), Amd(system), Intel(system))
