"""The GPUs of AMD and Apple, which need no library of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelwidgets.memory.ram import Memory
from modelwidgets.memory.source import Found
from modelwidgets.memory.vendors import Amd, Apple
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
