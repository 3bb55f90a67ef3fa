"""The GPUs of AMD, Intel and Apple."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelwidgets.memory.amd import Amd
from modelwidgets.memory.apple import Apple
from modelwidgets.memory.intel import Intel
from modelwidgets.memory.ram import Memory
from modelwidgets.memory.source import Found
from tests.fake_nvml import GIB

MACHINE = Memory(total_bytes=64 * GIB, available_bytes=48 * GIB)


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


def test_amd_gpu_inside_a_processor_takes_its_memory_from_the_ram(tmp_path: Path) -> None:
    """To what is set aside for it comes what it may map, as far as the RAM has room."""
    for number, revision in enumerate((1, 2, 3)):
        amd_card(
            tmp_path,
            number,
            vendor="0x1002",
            mem_info_vram_total=str(GIB),
            mem_info_vram_used=str(GIB // 2),
            mem_info_gtt_total=str(60 * GIB),
            mem_info_gtt_used=str(2 * GIB),
        )
        metrics = tmp_path / f"sys/class/drm/card{number}/device/gpu_metrics"
        metrics.write_bytes(bytes([120, 0, revision, 3]) + bytes(116))

    card, *inside = Amd(tmp_path).find(MACHINE).gpus

    assert (card.unified, card.total_bytes, card.free_bytes) == (False, GIB, GIB // 2)
    for gpu in inside:
        assert (gpu.unified, gpu.total_bytes) == (True, 61 * GIB)
        assert gpu.free_bytes == GIB // 2 + MACHINE.available_bytes


class Smi:
    """What is asked of ROCm's `amdsmi`."""

    class AmdSmiException(Exception):  # noqa: N818 - the spelling of `amdsmi`
        pass

    def __init__(self, refuses: str = "") -> None:
        self._refuses = refuses
        self.inits = 0

    def __getattr__(self, name: str) -> Any:
        def answer(*arguments: Any) -> Any:
            self.inits += name == "amdsmi_init"
            if name == self._refuses:
                raise self.AmdSmiException(name)
            return {
                "amdsmi_init": None,
                "amdsmi_get_processor_handles": ["one", "two"],
                "amdsmi_get_gpu_device_bdf": {"one": "0000:03:00.0", "two": "0000:0C:00.0"}.get(
                    arguments[0] if arguments else ""
                ),
                "amdsmi_get_gpu_process_list": [
                    {"name": "N/A", "pid": 5, "memory_usage": {"vram_mem": 1}},
                    {"name": "/usr/bin/ollama", "pid": 7, "memory_usage": {"vram_mem": GIB}},
                ],
            }[name]

        return answer


def test_programs_that_use_an_amd_gpu(tmp_path: Path) -> None:
    """Where ROCm's tools are installed they tell who uses a GPU, found by its PCI address."""
    amd_card(tmp_path, 0, vendor="0x1002", uevent="DRIVER=amdgpu\nPCI_SLOT_NAME=0000:0c:00.0")
    amd_card(tmp_path, 1, vendor="0x1002", uevent="PCI_SLOT_NAME=0000:99:00.0", unique_id="ab12")
    smi = Smi()
    amd = Amd(tmp_path, lambda: smi)

    amd.find(MACHINE)
    known, other = amd.find(MACHINE).gpus

    assert [(one.pid, one.name, one.used_bytes) for one in known.processes] == [
        (7, "ollama", GIB),
        (5, None, 1),
    ]
    assert (other.processes, other.uuid, known.uuid) == ((), "GPU-ab12", None)
    assert smi.inits == 1


@pytest.mark.parametrize(
    "refuses",
    ["amdsmi_init", "amdsmi_get_processor_handles", "amdsmi_get_gpu_process_list"],
)
def test_rocm_tools_that_do_not_work(tmp_path: Path, refuses: str) -> None:
    """Without an answer from them the memory is told all the same."""
    amd_card(
        tmp_path,
        0,
        vendor="0x1002",
        uevent="PCI_SLOT_NAME=0000:03:00.0",
        mem_info_vram_total=str(8 * GIB),
        mem_info_vram_used=str(GIB),
    )

    (gpu,) = Amd(tmp_path, lambda: Smi(refuses)).find(MACHINE).gpus

    assert (gpu.free_bytes, gpu.processes) == (7 * GIB, ())


def test_intel_cards(tmp_path: Path) -> None:
    """The total is that of the card's id, about; what is free is not known; others have no size."""
    amd_card(tmp_path, 0, vendor="0x8086", device="0x7d55", uevent="PCI_SLOT_NAME=0000:00:02.0")
    amd_card(tmp_path, 1, vendor="0x8086", device="0xE20B", uevent="PCI_SLOT_NAME=0000:03:00.0")
    amd_card(tmp_path, 2, vendor="0x8086", device="0xffff", uevent="PCI_SLOT_NAME=0000:04:00.0")

    known, unknown = Intel(tmp_path, lambda: ()).find(MACHINE).gpus

    assert (known.name, known.total_bytes, known.free_bytes, known.assumed) == (
        *("Intel Arc B580", 12 * GIB),
        *(None, True),
    )
    assert "how much memory" in str(known.error)
    assert (unknown.name, unknown.total_bytes, unknown.assumed) == ("Intel GPU", None, False)


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
