"""NVIDIA's GPUs, asked through the real `pynvml` where a C compiler is at hand."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modelwidgets.memory.nvidia import Nvidia
from modelwidgets.memory.ram import Memory
from modelwidgets.memory.source import Found
from tests.fake_nvml import GIB, UNKNOWN_BYTES, Driver, compiler

MACHINE = Memory(total_bytes=64 * GIB, available_bytes=48 * GIB)
DOUBLES = ["python", "c"] if compiler() else ["python"]


@pytest.fixture(params=DOUBLES)
def driver(request: pytest.FixtureRequest, nvml: Path | None) -> Iterator[Driver]:
    driver = Driver(nvml if request.param == "c" else None)
    yield driver
    driver.state.held = 0


def nvidia(driver: Driver) -> Nvidia:
    return Nvidia(driver.bind)


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


# What else the driver tells


def linux(folder: Path, *, host: bool = True) -> Path:
    """A `/proc` that says whether the numbers of processes are the host's."""
    link = folder / "proc/self/ns/pid"
    link.parent.mkdir(parents=True)
    link.symlink_to("pid:[4026531836]" if host else "pid:[4026532999]")
    return folder


def test_reserved_memory_multiprocessors_and_capability(driver: Driver) -> None:
    """A fit check needs the size of a context, so of the chip, and what the driver keeps."""
    driver.add_gpu("NVIDIA GeForce RTX 4090", cores=16384, capability=(8, 9), reserved=GIB // 2)
    driver.add_gpu("NVIDIA A100-SXM4-80GB", cores=6912, capability=(8, 0))
    driver.add_gpu("Tesla T4", cores=2560, capability=(7, 5))
    driver.add_gpu("GRID vGPU", cores=0)

    gpus = nvidia(driver).find(MACHINE).gpus

    assert [gpu.multiprocessors for gpu in gpus] == [128, 108, 40, None]
    assert [gpu.compute_capability for gpu in gpus] == ["8.9", "8.0", "7.5", "8.9"]
    assert gpus[0].reserved_bytes == GIB // 2
    assert {gpu.library for gpu in gpus} == {"cuda"}


def test_older_driver_tells_less(driver: Driver) -> None:
    """Where symbols are missing from the driver, what they would tell is open, and no error."""
    driver.old = True
    driver.add_process(driver.add_gpu(sliced=1), 77, GIB)

    (gpu,) = nvidia(driver).find(MACHINE).gpus

    assert (gpu.reserved_bytes, gpu.multiprocessors, gpu.processes) == (None, None, ())
    assert (gpu.free_bytes, gpu.error) == (20 * GIB, None)


def test_programs_that_use_a_gpu(driver: Driver, tmp_path: Path) -> None:
    """Each program once, however often it is listed, by name and the largest first."""
    system = linux(tmp_path)
    for pid, name in {7: "ollama", 9: "Xorg", 11: "llama-server"}.items():
        (system / f"proc/{pid}").mkdir()
        (system / f"proc/{pid}/comm").write_text(f"{name}\n")
    gpu = driver.add_gpu()
    driver.add_process(gpu, 7, 3 * GIB)
    driver.add_process(gpu, 11, 5 * GIB)
    driver.add_process(gpu, 13, UNKNOWN_BYTES)
    driver.add_process(gpu, 9, GIB, draws=True)
    driver.add_process(gpu, 7, 2 * GIB, draws=True)

    (found,) = Nvidia(driver.bind, system=system).find(MACHINE).gpus

    assert [(one.pid, one.name, one.used_bytes) for one in found.processes] == [
        (11, "llama-server", 5 * GIB),
        (7, "ollama", 3 * GIB),
        (9, "Xorg", GIB),
        (13, None, None),
    ]


def test_programs_seen_from_inside_a_container(driver: Driver, tmp_path: Path) -> None:
    """The numbers are the host's, so a process of ours with the same number is not named."""
    system = linux(tmp_path, host=False)
    (system / "proc/7").mkdir()
    (system / "proc/7/comm").write_text("innocent\n")
    driver.add_process(driver.add_gpu(), 7, GIB)

    (found,) = Nvidia(driver.bind, system=system).find(MACHINE).gpus

    assert [(one.pid, one.name, one.used_bytes) for one in found.processes] == [(7, None, GIB)]


def test_programs_where_there_is_no_proc(driver: Driver, tmp_path: Path) -> None:
    """On Windows the driver knows the names, without their folders."""
    gpu = driver.add_gpu()
    driver.add_process(gpu, 7, UNKNOWN_BYTES)
    driver.add_process(gpu, 1, GIB)

    (found,) = Nvidia(driver.bind, system=tmp_path).find(MACHINE).gpus

    assert [(one.pid, one.name) for one in found.processes] == [(1, None), (7, "ollama.exe")]


@pytest.mark.parametrize("code", [3, 4])
def test_programs_that_may_not_be_seen(driver: Driver, code: int) -> None:
    """Without permission for the list the memory is told all the same."""
    gpu = driver.add_gpu(process_result=code)
    driver.add_process(gpu, 7, GIB)

    (found,) = nvidia(driver).find(MACHINE).gpus

    assert (found.processes, found.free_bytes, found.error) == ((), 20 * GIB, None)


def test_slices_take_the_place_of_their_gpu(driver: Driver, tmp_path: Path) -> None:
    """A GPU cut into slices is listed as these, each with its own memory, name and programs."""
    whole = driver.add_gpu("NVIDIA A100-SXM4-40GB", sliced=1, memory_v2_result=4, memory_result=4)
    small = driver.add_slice(
        whole, "NVIDIA A100 MIG 1g.5gb", total=5 * GIB, free=4 * GIB, multiprocessors=14
    )
    driver.add_slice(
        whole, "NVIDIA A100 MIG 3g.20gb", total=20 * GIB, free=19 * GIB, multiprocessors=42
    )
    driver.add_gpu("NVIDIA L4", sliced=0)
    driver.add_process(whole, 5, GIB, instance=small.instance)

    one, other, plain = Nvidia(driver.bind, system=tmp_path).find(MACHINE).gpus

    parent = "GPU-00000000-aaaa-bbbb-cccc-0123456789ab"
    assert (one.name, one.slice_of, one.multiprocessors) == ("NVIDIA A100 MIG 1g.5gb", parent, 14)
    assert (one.total_bytes, one.free_bytes, one.error) == (5 * GIB, 4 * GIB, None)
    assert str(one.uuid).startswith("MIG-")
    assert [process.pid for process in one.processes] == [5]
    assert (other.name, other.free_bytes, other.processes) == (
        *("NVIDIA A100 MIG 3g.20gb", 19 * GIB),
        (),
    )
    assert (plain.name, plain.slice_of) == ("NVIDIA L4", None)


def test_a_gpu_cut_into_no_slices(driver: Driver) -> None:
    """Slicing without a slice leaves nothing to use, which is told with the way out."""
    driver.add_gpu("NVIDIA H100", sliced=1)

    (gpu,) = nvidia(driver).find(MACHINE).gpus

    assert (gpu.total_bytes, gpu.free_bytes) == (None, None)
    assert "nvidia-smi mig" in str(gpu.error)


def test_a_slice_that_cannot_be_asked(driver: Driver) -> None:
    """One slice without permission does not hide the other."""
    whole = driver.add_gpu("NVIDIA A100", sliced=1)
    closed = driver.add_slice(whole, "1g", total=5 * GIB, free=GIB, multiprocessors=14)
    closed.memory_v2_result = closed.memory_result = 4
    nameless = driver.add_slice(whole, "1g", total=5 * GIB, free=GIB, multiprocessors=14)
    nameless.name_result = 4
    driver.add_slice(whole, "2g", total=10 * GIB, free=9 * GIB, multiprocessors=28)

    gpus = nvidia(driver).find(MACHINE).gpus

    assert [gpu.free_bytes for gpu in gpus] == [None, None, 9 * GIB]
    assert ["not open" in str(gpu.error) for gpu in gpus] == [True, True, False]


def test_driver_gone_while_slices_are_listed(driver: Driver) -> None:
    """A GPU that is lost in the middle of the questions is lost, and asked anew later."""
    whole = driver.add_gpu("NVIDIA A100", sliced=1)
    part = driver.add_slice(whole, "1g", total=5 * GIB, free=GIB, multiprocessors=14)
    driver.add_gpu("Stays")
    source = nvidia(driver)
    source.find(MACHINE)

    part.gone = 1
    lost = source.find(MACHINE)
    part.gone, whole.gone = 0, 1
    later = source.find(MACHINE)

    assert ["is lost" in str(gpu.error) for gpu in lost.gpus] == [True, False]
    assert [gpu.name for gpu in later.gpus] == ["Stays"]


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

from modelwidgets.memory import devices, nvidia
if not {compiled!r}:
    devices._sources = lambda system: (nvidia.Nvidia(),)  # on any system
probe_devices = devices.probe_devices
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
    tmp_path: Path, nvml: Path | None, double: str
) -> None:
    """`probe_devices` finds the driver as any program does, by the name of its library."""
    script = "print(json.dumps([asdict(gpu) for gpu in probe_devices().gpus]))"

    gpus = run(tmp_path, script, library=nvml if double == "c" else None)

    assert [(gpu["name"], gpu["free_bytes"], gpu["error"]) for gpu in gpus] == [
        ("NVIDIA L4", 20 * GIB, None)
    ]


@pytest.mark.parametrize("double", DOUBLES)
@pytest.mark.parametrize(
    "method", sorted(set(multiprocessing.get_all_start_methods()) - {"forkserver"})
)
def test_child_process_opens_the_driver_itself(
    tmp_path: Path, nvml: Path | None, double: str, method: str
) -> None:
    """A forked child, which inherits an opened driver that is not its own, opens it again."""
    inits, names, reason = run(tmp_path, FORKS, method, library=nvml if double == "c" else None)

    assert inits == (2 if method == "fork" else 1)
    assert names == ["NVIDIA L4"]
    assert reason is None
