"""The probe of GPUs and RAM, driven through the real `pynvml` where a C compiler is at hand."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from modelwidgets.memory.devices import DeviceProbe, probe_devices
from modelwidgets.memory.ram import Memory, container_memory
from modelwidgets.memory.vendors import Amd, Apple, Found, Nvidia
from tests.fake_nvml import GIB, Driver, compile_doubles, compiler

MACHINE = Memory(total_bytes=64 * GIB, available_bytes=48 * GIB)
DOUBLES = ["python", "c"] if compiler() else ["python"]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    if not compiler():
        return None
    folder = tmp_path_factory.mktemp("nvml")
    compile_doubles(folder)
    return folder


@pytest.fixture(params=DOUBLES)
def driver(request: pytest.FixtureRequest, library: Path | None) -> Iterator[Driver]:
    driver = Driver(library if request.param == "c" else None)
    yield driver
    driver.state.held = 0


def nvidia(driver: Driver) -> Nvidia:
    return Nvidia(driver.bind)


# NVIDIA


def test_gpus_as_the_driver_names_them(driver: Driver) -> None:
    """Name, UUID, total and free of each GPU are the driver's own; free is not total minus used."""
    driver.add_gpu("NVIDIA GeForce RTX 4090", total=24 * GIB, reserved=GIB // 2, free=20 * GIB)
    driver.add_gpu("NVIDIA A100-SXM4-80GB", total=80 * GIB, reserved=GIB, free=5 * GIB)

    found = nvidia(driver).find(MACHINE)

    assert found.driver == "580.65.06"
    assert found.reason is None
    first, second = found.gpus
    assert (first.index, first.name) == (0, "NVIDIA GeForce RTX 4090")
    assert first.uuid == "GPU-00000000-aaaa-bbbb-cccc-0123456789ab"
    assert (first.total_bytes, first.free_bytes) == (24 * GIB, 20 * GIB)
    assert (second.index, second.name) == (1, "NVIDIA A100-SXM4-80GB")
    assert (second.total_bytes, second.free_bytes) == (80 * GIB, 5 * GIB)
    assert not first.unified
    assert first.error is second.error is None


def test_older_driver_without_the_newer_memory_call(driver: Driver) -> None:
    """A driver that lacks the newer call is asked with the older one."""
    driver.old = True
    driver.add_gpu(total=8 * GIB, free=7 * GIB)

    (gpu,) = nvidia(driver).find(MACHINE).gpus

    assert (gpu.total_bytes, gpu.free_bytes, gpu.error) == (8 * GIB, 7 * GIB, None)


@pytest.mark.parametrize("code", [3, 25])
def test_newer_memory_call_refused(driver: Driver, code: int) -> None:
    """A driver that knows the newer call but refuses it is asked with the older one."""
    driver.add_gpu(total=8 * GIB, free=7 * GIB, memory_v2_result=code)

    (gpu,) = nvidia(driver).find(MACHINE).gpus

    assert (gpu.total_bytes, gpu.free_bytes, gpu.error) == (8 * GIB, 7 * GIB, None)


@pytest.mark.parametrize(
    ("name", "capability"),
    [("NVIDIA GB10", (12, 1)), ("Orin (nvgpu)", (8, 7)), ("NVIDIA Something", (11, 0))],
)
@pytest.mark.parametrize("how", ["refused", "total of 0"])
def test_unified_chip_shares_the_machines_memory(
    driver: Driver, name: str, capability: tuple[int, int], how: str
) -> None:
    """Where the GPU has no memory of its own, the machine's RAM is its memory."""
    if how == "refused":
        driver.add_gpu(name, capability=capability, memory_result=3, memory_v2_result=3)
    else:
        driver.add_gpu(name, capability=capability, total=0, reserved=0, free=0)

    (gpu,) = nvidia(driver).find(MACHINE).gpus

    assert gpu.unified
    assert (gpu.total_bytes, gpu.free_bytes, gpu.error) == (64 * GIB, 48 * GIB, None)


def test_discrete_gpu_in_a_bad_state_is_not_taken_for_unified(driver: Driver) -> None:
    """A card that does not tell its memory is shown with that error, not with the machine's RAM."""
    driver.add_gpu("NVIDIA GB100", memory_result=3, memory_v2_result=3, capability=(10, 0))

    (gpu,) = nvidia(driver).find(MACHINE).gpus

    assert not gpu.unified
    assert (gpu.total_bytes, gpu.free_bytes) == (None, None)
    assert gpu.error == "the driver does not tell the memory of this GPU"


@pytest.mark.parametrize(
    ("results", "name", "words"),
    [
        ({"handle_result": 4}, "NVIDIA GPU", "not open to this user or container"),
        ({"memory_result": 4, "memory_v2_result": 4}, "Broken", "not open to this user"),
        ({"memory_v2_result": 15}, "Broken", "is lost"),
        ({"memory_v2_result": 16}, "Broken", "must be reset"),
        ({"memory_v2_result": 999}, "Broken", "unknown error"),
        ({"memory_v2_result": 10}, "Broken", "the driver says"),
        ({"memory_v2_result": 777}, "Broken", "the driver says"),
        ({"name_result": 15}, "NVIDIA GPU", "is lost"),
    ],
)
def test_one_bad_gpu_does_not_hide_the_others(
    driver: Driver, results: dict[str, int], name: str, words: str
) -> None:
    """A GPU that cannot be asked is listed with the reason, between the ones that can."""
    driver.add_gpu("First")
    driver.add_gpu("Broken", **results)
    driver.add_gpu("Last")

    first, broken, last = nvidia(driver).find(MACHINE).gpus

    assert (first.name, first.error, first.free_bytes) == ("First", None, 20 * GIB)
    assert (last.name, last.error, last.free_bytes) == ("Last", None, 20 * GIB)
    assert broken.name == name
    assert broken.error is not None
    assert words in broken.error
    assert (broken.total_bytes, broken.free_bytes) == (None, None)


def test_gpu_without_uuid_still_tells_its_memory(driver: Driver) -> None:
    """A virtual GPU has no UUID; its memory is shown all the same."""
    driver.add_gpu(uuid_result=3)

    (gpu,) = nvidia(driver).find(MACHINE).gpus

    assert (gpu.uuid, gpu.free_bytes, gpu.error) == (None, 20 * GIB, None)


@pytest.mark.parametrize(
    ("code", "reason", "broken"),
    [
        (12, "no NVIDIA driver here", False),
        (9, "the NVIDIA driver is installed but not loaded: load it", True),
        (18, "the NVIDIA driver was updated: restart the computer", True),
        (4, "the NVIDIA driver refuses this user or container: give it access", True),
        (999, "the NVIDIA driver answers with an unknown error: in a container", True),
        (17, "the NVIDIA driver does not work (", True),
    ],
)
def test_driver_that_does_not_open(driver: Driver, code: int, reason: str, broken: bool) -> None:
    """Why the driver cannot be used is told in words with a next step, and it is tried again."""
    driver.add_gpu()
    driver.state.init_result = code
    source = nvidia(driver)

    refused = source.find(MACHINE)
    driver.state.init_result = 0
    mended = source.find(MACHINE)

    assert refused.gpus == ()
    assert refused.reason is not None
    assert refused.reason.startswith(reason)
    assert refused.broken is broken
    assert len(mended.gpus) == 1


def test_no_library(driver: Driver) -> None:
    """Where NVIDIA's library is not found, there is no driver; one installed later is found."""
    driver.add_gpu()
    driver.installed = False
    source = nvidia(driver)

    before = source.find(MACHINE)
    driver.installed = True
    after = source.find(MACHINE)

    assert (before.gpus, before.reason) == ((), "no NVIDIA driver here")
    assert len(after.gpus) == 1


def test_driver_without_gpus(driver: Driver) -> None:
    """A working driver that lists nothing is told apart from a missing one."""
    found = nvidia(driver).find(MACHINE)

    assert (found.gpus, found.reason) == ((), "the NVIDIA driver sees no GPU")
    assert found.driver == "580.65.06"


def test_driver_stays_open_between_probes(driver: Driver) -> None:
    """Opening the driver is slow, so it is done once."""
    driver.add_gpu()
    source = nvidia(driver)

    for _ in range(3):
        source.find(MACHINE)

    assert (driver.state.inits, driver.state.shutdowns) == (1, 0)


def test_gpu_lost_while_we_look(driver: Driver) -> None:
    """A GPU that goes away is shown as lost once; then the driver is opened anew without it."""
    driver.add_gpu("Stays")
    lost = driver.add_gpu("Goes")
    source = nvidia(driver)
    source.find(MACHINE)

    lost.gone = 1
    at_once = source.find(MACHINE)
    later = source.find(MACHINE)

    assert [gpu.error is None for gpu in at_once.gpus] == [True, False]
    assert "is lost" in str(at_once.gpus[1].error)
    assert [gpu.name for gpu in later.gpus] == ["Stays"]
    assert (driver.state.inits, driver.state.shutdowns) == (2, 1)


def test_driver_closed_by_someone_else(driver: Driver) -> None:
    """Another library of the process that shuts NVML down does not take the GPUs from us."""
    driver.add_gpu()
    source = nvidia(driver)
    source.find(MACHINE)

    driver.state.open = 0
    found = source.find(MACHINE)

    assert [gpu.error for gpu in found.gpus] == [None]
    assert driver.state.inits == 2


@pytest.mark.parametrize("code", [9, 18, 999])
def test_driver_gone_between_probes(driver: Driver, code: int) -> None:
    """A driver that is unloaded or replaced under us gives its reason, and comes back by itself."""
    driver.add_gpu()
    source = nvidia(driver)
    source.find(MACHINE)

    driver.state.count_result = driver.state.init_result = code
    gone = source.find(MACHINE)
    driver.state.count_result = driver.state.init_result = 0
    back = source.find(MACHINE)

    assert gone.gpus == ()
    assert gone.reason
    assert gone.broken
    assert len(back.gpus) == 1


def test_names_as_bytes() -> None:
    """Older bindings answer with bytes, which are read as text."""
    nvml = Driver(None).bind()
    nvml._driver.add_gpu("NVIDIA T4")
    as_text = nvml.nvmlDeviceGetName
    nvml.nvmlDeviceGetName = lambda gpu: as_text(gpu).encode()
    nvml.nvmlDeviceGetUUID = lambda _gpu: b"GPU-\xff"
    nvml.nvmlSystemGetDriverVersion = lambda: b"470.57.02"

    found = Nvidia(lambda: nvml).find(MACHINE)

    assert (found.gpus[0].name, found.gpus[0].uuid) == ("NVIDIA T4", "GPU-�")
    assert found.driver == "470.57.02"


def _missing() -> Any:
    raise ModuleNotFoundError("No module named 'pynvml'", name="pynvml")


def _unusable() -> Any:
    raise ImportError("cannot import name 'nvml'")


def _python_2() -> Any:
    raise SyntaxError("Missing parentheses in call to 'print'")


@pytest.mark.parametrize(
    ("bind", "words"),
    [
        (_missing, "`pip install nvidia-ml-py`"),
        (_unusable, "`pip uninstall pynvml`"),
        (_python_2, "`pip uninstall pynvml`"),
        (lambda: SimpleNamespace(__version__="8.0.4", nvmlInit=lambda: None), "another package"),
    ],
)
def test_pynvml_that_cannot_be_used(bind: Any, words: str) -> None:
    """A missing `pynvml`, or an unrelated package of that name, is told with what to install."""
    found = Nvidia(bind).find(MACHINE)

    assert found.gpus == ()
    assert found.broken
    assert words in str(found.reason)


def test_pynvml_is_not_imported_where_there_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Linux without a driver the costly import is spared."""

    def not_found(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", not_found)
    monkeypatch.setitem(sys.modules, "pynvml", None)  # an import would raise

    found = Nvidia().find(MACHINE)

    assert found == Found(reason="no NVIDIA driver here")


# AMD


def amd_card(system: Path, number: int, **files: str) -> None:
    device = system / "sys/class/drm" / f"card{number}" / "device"
    device.mkdir(parents=True)
    for name, text in files.items():
        (device / name).write_text(f"{text}\n")


def test_amd_gpus_from_the_files_of_linux(tmp_path: Path) -> None:
    """AMD's cards are read in the order of their numbers; other vendors and outputs are not."""
    ids = tmp_path / "usr/share/libdrm/amdgpu.ids"
    ids.parent.mkdir(parents=True)
    ids.write_text("# List of AMDGPU IDs\n1.0.0\n744C,\tC8,\tAMD Radeon RX 7900 XTX\n")
    amd_card(
        tmp_path,
        10,
        vendor="0x1002",
        device="0x1586",
        revision="0xc1",
        mem_info_vram_total=str(8 * GIB),
        mem_info_vram_used=str(GIB),
    )
    amd_card(
        tmp_path,
        2,
        vendor="0x1002",
        device="0x744c",
        revision="0xc8",
        mem_info_vram_total=str(24 * GIB),
        mem_info_vram_used=str(4 * GIB),
    )
    amd_card(tmp_path, 0, vendor="0x8086", mem_info_vram_total=str(GIB))
    (tmp_path / "sys/class/drm/card2-DP-1").mkdir()

    known, unknown = Amd(tmp_path).find(MACHINE).gpus

    assert (known.name, known.total_bytes, known.free_bytes) == (
        *("AMD Radeon RX 7900 XTX", 24 * GIB),
        20 * GIB,
    )
    assert (unknown.name, unknown.free_bytes, unknown.error) == ("AMD GPU", 7 * GIB, None)


def test_amd_card_that_names_itself(tmp_path: Path) -> None:
    """A card's own product name needs no table."""
    amd_card(tmp_path, 0, vendor="0x1002", product_name="AMD Instinct MI300X")

    (gpu,) = Amd(tmp_path).find(MACHINE).gpus

    assert gpu.name == "AMD Instinct MI300X"


@pytest.mark.parametrize("total", ["", "lots", "-5"])
def test_amd_card_without_readable_memory(tmp_path: Path, total: str) -> None:
    """Files that are missing or hold no number give an error, not a number."""
    amd_card(tmp_path, 0, vendor="0x1002", mem_info_vram_total=total)

    (gpu,) = Amd(tmp_path).find(MACHINE).gpus

    assert (gpu.total_bytes, gpu.free_bytes) == (None, None)
    assert gpu.error == "the amdgpu driver does not tell the memory of this GPU"


def test_no_amd_gpu(tmp_path: Path) -> None:
    """A machine without such files has no AMD GPU, and nothing to say about it."""
    assert Amd(tmp_path).find(MACHINE) == Found()


# Apple


@pytest.mark.parametrize(
    ("ram_gib", "lines", "total", "assumed"),
    [
        (16, ["Apple M2", "0"], 16 * GIB * 2 // 3, True),
        (64, ["Apple M2 Max", "0"], 48 * GIB, True),
        (64, ["Apple M2 Max"], 48 * GIB, True),
        (64, ["Apple M2 Max", "57344"], 56 * GIB, False),
    ],
)
def test_apple_chip(ram_gib: int, lines: list[str], total: int, assumed: bool) -> None:
    """An Apple GPU may use a part of the RAM: the limit that was set, else a rule, so marked."""
    machine = Memory(total_bytes=ram_gib * GIB, available_bytes=8 * GIB)

    (gpu,) = Apple(lambda *_names: lines).find(machine).gpus

    assert (gpu.name, gpu.total_bytes, gpu.assumed) == (lines[0], total, assumed)
    assert gpu.unified
    assert gpu.free_bytes == 8 * GIB


def _no_sysctl(*_names: str) -> list[str]:
    raise FileNotFoundError("/usr/sbin/sysctl")


@pytest.mark.parametrize(
    ("sysctl", "reason"),
    [
        (lambda *_names: ["Intel(R) Core(TM) i7"], "no GPU that models can use on a Mac"),
        (lambda *_names: [], "macOS does not tell which chip this is"),
        (_no_sysctl, "macOS does not tell which chip this is"),
    ],
)
def test_mac_without_usable_gpu(sysctl: Any, reason: str) -> None:
    """A Mac with an Intel chip, or one that says nothing, has no GPU for models, in words."""
    found = Apple(sysctl).find(MACHINE)

    assert found.gpus == ()
    assert str(found.reason).startswith(reason)


# RAM


def write(system: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = system / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def test_container_limit_of_version_2(tmp_path: Path) -> None:
    """What is left under the limit counts, and file pages that are not in use count as left."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": str(8 * GIB),
            "sys/fs/cgroup/memory.current": str(6 * GIB),
            "sys/fs/cgroup/memory.stat": f"anon {4 * GIB}\ninactive_file {2 * GIB}",
        },
    )

    limit = container_memory(tmp_path)

    assert limit == Memory(total_bytes=8 * GIB, available_bytes=4 * GIB)


def test_container_limit_of_version_1(tmp_path: Path) -> None:
    """In a container the group's path of the host does not exist: the mount itself is the group."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/0a1b\n4:memory:/docker/0a1b",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(8 * GIB),
            "sys/fs/cgroup/memory/memory.usage_in_bytes": str(6 * GIB),
            "sys/fs/cgroup/memory/memory.stat": (
                f"inactive_file 1\nhierarchical_memory_limit 1\ntotal_inactive_file {GIB}"
            ),
        },
    )

    limit = container_memory(tmp_path)

    assert limit == Memory(total_bytes=8 * GIB, available_bytes=3 * GIB)


def test_outer_limit_counts_too(tmp_path: Path) -> None:
    """Groups lie in one another: the tightest of them decides, total and left each by itself."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/jupyter.scope",
            "sys/fs/cgroup/user.slice/memory.max": str(6 * GIB),
            "sys/fs/cgroup/user.slice/memory.current": str(GIB),
            "sys/fs/cgroup/user.slice/jupyter.scope/memory.max": str(8 * GIB),
            "sys/fs/cgroup/user.slice/jupyter.scope/memory.current": str(7 * GIB),
        },
    )

    limit = container_memory(tmp_path)

    assert limit == Memory(total_bytes=6 * GIB, available_bytes=GIB)


def test_both_versions_side_by_side(tmp_path: Path) -> None:
    """Where version 1 and 2 both limit, the smaller wins."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/a\n0::/b",
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": str(4 * GIB),
            "sys/fs/cgroup/memory/a/memory.usage_in_bytes": str(GIB),
            "sys/fs/cgroup/b/memory.max": str(8 * GIB),
            "sys/fs/cgroup/b/memory.current": str(7 * GIB),
        },
    )

    limit = container_memory(tmp_path)

    assert limit == Memory(total_bytes=4 * GIB, available_bytes=GIB)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": ""},
        {"proc/self/cgroup": "no colons at all"},
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "max"},
        {"proc/self/cgroup": "0::/../../etc", "etc/memory.max": "1", "etc/memory.current": "1"},
        {"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/memory.max": "5"},
    ],
)
def test_no_container_limit(tmp_path: Path, files: dict[str, str]) -> None:
    """Without a limit, or with files that cannot be used, the machine's memory stands alone."""
    write(tmp_path, files)

    assert container_memory(tmp_path) is None


def test_more_used_than_allowed(tmp_path: Path) -> None:
    """A limit that was lowered below what is in use leaves nothing, not less than nothing."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": str(GIB),
            "sys/fs/cgroup/memory.current": str(2 * GIB),
        },
    )

    limit = container_memory(tmp_path)

    assert limit == Memory(total_bytes=GIB, available_bytes=0)


# The probe as a whole


def probe_of(*sources: Any, system: Path, clock: Any = time.monotonic, **more: Any) -> DeviceProbe:
    return DeviceProbe(sources, system=system, machine=lambda: MACHINE, clock=clock, **more)


def test_ram_is_the_smaller_of_machine_and_container(tmp_path: Path) -> None:
    """The container's limit is what a model loaded here would meet; no limit, the machine's RAM."""
    free = probe_of(Amd(tmp_path), system=tmp_path).probe()
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": str(8 * GIB),
            "sys/fs/cgroup/memory.current": str(GIB),
        },
    )
    limited = probe_of(Amd(tmp_path), system=tmp_path).probe()

    assert (free.ram_total_bytes, free.ram_available_bytes) == (64 * GIB, 48 * GIB)
    assert (limited.ram_total_bytes, limited.ram_available_bytes) == (8 * GIB, 7 * GIB)


def test_gpus_of_two_vendors_are_numbered_through(driver: Driver, tmp_path: Path) -> None:
    """GPUs of all vendors stand in one list, and that there is no NVIDIA driver is then no news."""
    amd_card(tmp_path, 0, vendor="0x1002")
    driver.add_gpu("NVIDIA T4")

    both = probe_of(nvidia(driver), Amd(tmp_path), system=tmp_path).probe()
    without = probe_of(Nvidia(lambda: None), Amd(tmp_path), system=tmp_path).probe()

    assert [(gpu.index, gpu.name) for gpu in both.gpus] == [(0, "NVIDIA T4"), (1, "AMD GPU")]
    assert both.driver == "580.65.06"
    assert [(gpu.index, gpu.name) for gpu in without.gpus] == [(0, "AMD GPU")]
    assert without.reason is None


def test_broken_driver_is_told_beside_other_gpus(driver: Driver, tmp_path: Path) -> None:
    """A GPU that is missing because its driver broke is explained, though another is shown."""
    amd_card(tmp_path, 0, vendor="0x1002")
    driver.state.init_result = 18

    devices = probe_of(nvidia(driver), Amd(tmp_path), system=tmp_path).probe()

    assert len(devices.gpus) == 1
    assert devices.reason == "the NVIDIA driver was updated: restart the computer"


def test_answer_is_kept_for_two_seconds(driver: Driver, tmp_path: Path) -> None:
    """Who asks again within two seconds gets the same answer, later a new one."""
    gpu = driver.add_gpu(free=20 * GIB)
    clock = Clock()
    probe = probe_of(nvidia(driver), system=tmp_path, clock=clock)
    first = probe.probe()

    gpu.free = 3 * GIB
    clock.now += 1.9
    soon = probe.probe()
    clock.now += 0.2
    later = probe.probe()

    assert soon is first
    assert (first.gpus[0].free_bytes, later.gpus[0].free_bytes) == (20 * GIB, 3 * GIB)


def test_slow_driver_holds_nobody_up(driver: Driver, tmp_path: Path) -> None:
    """While a driver takes its time, its GPUs are shown without free memory; later with it."""
    gpu = driver.add_gpu("Sleeper", free=20 * GIB)
    clock = Clock()
    probe = probe_of(nvidia(driver), system=tmp_path, clock=clock, first_patience_seconds=30)
    awake = probe.probe()

    clock.now += 3
    driver.state.held = 1
    late = [probe.probe() for _ in range(5)]
    asked_meanwhile = driver.state.memory_calls
    gpu.free = 4 * GIB
    driver.state.held = 0
    while (caught_up := probe.probe()).gpus[0].free_bytes is None:
        time.sleep(0.001)

    assert awake.gpus[0].free_bytes == 20 * GIB
    for devices in late:
        assert [(one.name, one.total_bytes, one.free_bytes) for one in devices.gpus] == [
            ("Sleeper", 24 * GIB, None)
        ]
        assert str(devices.reason).startswith("the GPU driver has not answered yet")
        assert devices.gpus[0].error == devices.reason
        assert devices.ram_total_bytes == 64 * GIB
    assert asked_meanwhile == 2  # the first probe, and one for all five that waited
    assert caught_up.gpus[0].free_bytes == 4 * GIB
    assert caught_up.reason is None


def test_driver_that_never_answered(driver: Driver, tmp_path: Path) -> None:
    """A driver that hangs from the start is waited for longer once, then no more."""
    driver.add_gpu()
    driver.state.held = 1
    probe = probe_of(
        nvidia(driver), system=tmp_path, patience_seconds=0.01, first_patience_seconds=0.2
    )

    started = time.perf_counter()
    first = probe.probe()
    first_seconds = time.perf_counter() - started
    second = probe.probe()

    assert first_seconds >= 0.2
    assert (first.gpus, second.gpus) == ((), ())
    assert first.reason == "the GPU driver has not answered yet: try again in a moment"


def test_many_threads_ask_the_driver_once(driver: Driver, tmp_path: Path) -> None:
    """Threads that ask at the same time share one question and its answer."""
    driver.add_gpu()
    driver.state.held = 1
    probe = probe_of(nvidia(driver), system=tmp_path, first_patience_seconds=30)
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(probe.probe())) for _ in range(8)]

    for thread in threads:
        thread.start()
    driver.state.held = 0
    for thread in threads:
        thread.join()

    assert len(answers) == 8
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].gpus[0].free_bytes == 20 * GIB
    assert (driver.state.inits, driver.state.memory_calls) == (1, 1)


def test_failure_nobody_foresaw_is_raised_and_not_kept(tmp_path: Path) -> None:
    """An unforeseen failure reaches the caller; the next probe asks again."""

    class Unlucky:
        def __init__(self) -> None:
            self.asked = 0

        def find(self, machine: Memory) -> Found:
            self.asked += 1
            if self.asked == 1:
                raise ZeroDivisionError("unforeseen")
            return Found(reason="well again")

    probe = probe_of(Unlucky(), system=tmp_path)

    with pytest.raises(ZeroDivisionError, match="unforeseen"):
        probe.probe()
    devices = probe.probe()

    assert devices.reason == "well again"


def test_this_machine_answers() -> None:
    """The real probe gives this machine's RAM, and either GPUs or the reason why there are none."""
    devices = probe_devices()

    assert 0 < devices.ram_available_bytes <= devices.ram_total_bytes
    assert devices.ram_total_bytes <= psutil.virtual_memory().total
    assert devices.gpus or devices.reason
    for gpu in devices.gpus:
        assert gpu == replace(gpu, index=devices.gpus.index(gpu))


# In processes of their own

SETUP = """
import ctypes, json, multiprocessing, sys
from dataclasses import asdict

sys.path.insert(0, {root!r})
from tests.fake_nvml import Driver

driver = Driver(None)
driver.add_gpu("NVIDIA L4")
if {compiled!r}:
    driver.give_state(ctypes.CDLL("libnvidia-ml.so.1"))
else:
    sys.modules["pynvml"] = driver.bind()
    ctypes.CDLL = lambda name: None

from modelwidgets.memory.devices import probe_devices
"""

FORKS = """
def child(answers):
    devices = probe_devices()
    answers.put((driver.state.inits, [gpu.name for gpu in devices.gpus], devices.reason))

if __name__ == "__main__":
    probe_devices()
    context = multiprocessing.get_context(sys.argv[1])
    answers = context.Queue()
    process = context.Process(target=child, args=(answers,))
    process.start()
    print(json.dumps(answers.get(timeout=60)))
    process.join()
"""


def run(folder: Path, script: str, *arguments: str, library: Path | None) -> Any:
    path = folder / "script.py"
    root = str(Path(__file__).parents[1])
    path.write_text(SETUP.format(root=root, compiled=library is not None) + script)
    environment = {**os.environ, "PYTHONPATH": root}
    if library:
        environment["LD_LIBRARY_PATH"] = str(library)
    done = subprocess.run(
        [sys.executable, str(path), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("double", DOUBLES)
def test_found_by_the_ordinary_search_for_libraries(
    tmp_path: Path, library: Path | None, double: str
) -> None:
    """`probe_devices` finds the driver as any program does, by the name of its library."""
    script = "print(json.dumps([asdict(gpu) for gpu in probe_devices().gpus]))"

    gpus = run(tmp_path, script, library=library if double == "c" else None)

    assert [(gpu["name"], gpu["free_bytes"], gpu["error"]) for gpu in gpus] == [
        ("NVIDIA L4", 20 * GIB, None)
    ]


@pytest.mark.parametrize("double", DOUBLES)
@pytest.mark.parametrize(
    "method", sorted(set(multiprocessing.get_all_start_methods()) - {"forkserver"})
)
def test_child_process_opens_the_driver_itself(
    tmp_path: Path, library: Path | None, double: str, method: str
) -> None:
    """A forked child, which inherits an opened driver that is not its own, opens it again."""
    inits, names, reason = run(tmp_path, FORKS, method, library=library if double == "c" else None)

    assert inits == (2 if method == "fork" else 1)
    assert names == ["NVIDIA L4"]
    assert reason is None


def test_nothing_is_probed_on_import() -> None:
    """Importing the module touches neither NVML nor psutil."""
    script = (
        "import sys, modelwidgets.memory.devices;"
        "print([name for name in ('pynvml', 'psutil') if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "[]"
