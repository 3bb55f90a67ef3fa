"""The probe as a whole: what it keeps, how long it waits, and who may ask at once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelwidgets.memory.amd import Amd
from modelwidgets.memory.devices import DeviceProbe, local_devices, probe_devices
from modelwidgets.memory.nvidia import Nvidia
from modelwidgets.memory.ram import Memory
from modelwidgets.memory.source import Found
from tests.fake_nvml import GIB, Driver

MACHINE = Memory(total_bytes=64 * GIB, available_bytes=48 * GIB)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = Driver(None)
    yield driver
    driver.state.held = 0


def nvidia(driver: Driver) -> Nvidia:
    return Nvidia(driver.bind)


def amd_card(system: Path) -> None:
    device = system / "sys/class/drm/card0/device"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x1002\n")


def probe_of(*sources: Any, system: Path, clock: Any = time.monotonic, **more: Any) -> DeviceProbe:
    return DeviceProbe(sources, system=system, machine=lambda: MACHINE, clock=clock, **more)


def test_ram_is_the_smaller_of_machine_and_container(tmp_path: Path) -> None:
    """The container's limit is what a model loaded here would meet; no limit, the machine's RAM."""
    free = probe_of(Amd(tmp_path), system=tmp_path).probe()
    for name, text in (
        ("proc/self/cgroup", "0::/"),
        ("sys/fs/cgroup/memory.max", str(8 * GIB)),
        ("sys/fs/cgroup/memory.current", str(GIB)),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    limited = probe_of(Amd(tmp_path), system=tmp_path).probe()

    assert (free.ram_total_bytes, free.ram_available_bytes) == (64 * GIB, 48 * GIB)
    assert (limited.ram_total_bytes, limited.ram_available_bytes) == (8 * GIB, 7 * GIB)


def test_gpus_of_two_vendors_are_numbered_through(driver: Driver, tmp_path: Path) -> None:
    """GPUs of all vendors stand in one list, and that there is no NVIDIA driver is then no news."""
    amd_card(tmp_path)
    driver.add_gpu("NVIDIA T4")

    both = probe_of(nvidia(driver), Amd(tmp_path), system=tmp_path).probe()
    without = probe_of(Nvidia(lambda: None), Amd(tmp_path), system=tmp_path).probe()

    assert [(gpu.index, gpu.name) for gpu in both.gpus] == [(0, "NVIDIA T4"), (1, "AMD GPU")]
    assert both.driver == "580.65.06"
    assert [(gpu.index, gpu.name) for gpu in without.gpus] == [(0, "AMD GPU")]
    assert without.reason is None


def test_broken_driver_is_told_beside_other_gpus(driver: Driver, tmp_path: Path) -> None:
    """A GPU that is missing because its driver broke is explained, though another is shown."""
    amd_card(tmp_path)
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


def test_what_the_environment_hides_is_marked(driver: Driver, tmp_path: Path) -> None:
    """GPUs that programs started here would not see are listed, and marked."""
    driver.add_gpu("NVIDIA T4")
    driver.add_gpu("NVIDIA T4")
    environment = {"CUDA_VISIBLE_DEVICES": "GPU-00000001"}

    devices = probe_of(nvidia(driver), system=tmp_path, environment=environment).probe()

    assert [gpu.visible for gpu in devices.gpus] == [False, True]


def test_a_remote_server_is_never_judged_by_what_is_here() -> None:
    """Of a server on another machine nothing is said, whatever this one has."""
    assert local_devices("http://gpu-box.lab:11434") is None
    assert local_devices("http://127.0.0.1:11434") == probe_devices()


def test_a_probe_takes_less_than_50_ms(driver: Driver, tmp_path: Path) -> None:
    """Eight GPUs with their programs are asked within the time that a table may wait."""
    for _ in range(8):
        gpu = driver.add_gpu()
        for pid in range(8):
            driver.add_process(gpu, 100 + pid, GIB)
    clock = Clock()
    probe = probe_of(nvidia(driver), system=tmp_path, clock=clock, patience_seconds=5)
    probe.probe()
    taken = []

    for _ in range(5):
        clock.now += 3
        began = time.perf_counter()
        devices = probe.probe()
        taken.append(time.perf_counter() - began)

    assert len(devices.gpus) == 8
    assert min(taken) < 0.05


def test_this_machine_answers() -> None:
    """The real probe gives this machine's RAM, and either GPUs or the reason why there are none."""
    devices = probe_devices()

    assert 0 < devices.ram_available_bytes <= devices.ram_total_bytes
    assert devices.ram_total_bytes <= psutil.virtual_memory().total
    assert devices.gpus or devices.reason
    assert [gpu.index for gpu in devices.gpus] == list(range(len(devices.gpus)))


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
