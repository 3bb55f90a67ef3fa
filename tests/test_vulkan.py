"""Totals through Vulkan, asked of a double of its library where a C compiler is at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelwidgets.memory import vulkan_totals
from modelwidgets.memory.intel import Intel
from modelwidgets.memory.ram import Memory
from modelwidgets.memory.vulkan import Vulkan, VulkanGpu, vulkan_gpus
from tests.fake_nvml import GIB, compiler

MACHINE = Memory(total_bytes=64 * GIB, available_bytes=48 * GIB)
CARD = VulkanGpu(
    name="Intel(R) Arc(TM) Pro B60 Graphics",
    vendor=0x8086,
    device=0xE211,
    kind=2,
    total_bytes=24 * GIB,
)
INSIDE = VulkanGpu(name="Something else", vendor=0x8086, device=0x7D55, kind=1, total_bytes=GIB)
PROCESSOR = VulkanGpu(name="Something else", vendor=0x10005, device=0x7D55, kind=4, total_bytes=GIB)


def said(monkeypatch: pytest.MonkeyPatch, folder: Path, how: str = "") -> tuple[VulkanGpu, ...]:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    monkeypatch.setenv("FAKE_VULKAN", how)
    vulkan_gpus.cache_clear()
    try:
        return vulkan_gpus()
    finally:
        vulkan_gpus.cache_clear()


if (command := compiler()) is not None:  # elsewhere there is no double to ask

    @pytest.fixture(scope="session")
    def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The folder of the double."""
        folder = tmp_path_factory.mktemp("vulkan")
        source = Path(__file__).with_name("fake_vulkan.c")
        flags = ["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run(
            [command, *flags, str(source), "-o", str(folder / "libvulkan.so.1")],
            check=True,
            timeout=60,
        )
        return folder

    def test_what_vulkan_says_of_each_gpu(monkeypatch: pytest.MonkeyPatch, library: Path) -> None:
        """Name, kind and the largest heap of its own; the machine's memory is not counted."""
        assert said(monkeypatch, library) == (CARD, INSIDE, PROCESSOR)

    @pytest.mark.parametrize("how", ["crash", "refuse"])
    def test_a_driver_that_crashes_takes_nobody_with_it(
        monkeypatch: pytest.MonkeyPatch, library: Path, how: str
    ) -> None:
        """A driver that aborts does so in a process of its own, and there are no GPUs."""
        assert said(monkeypatch, library, how) == ()


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Vulkan there is nothing to say."""
    monkeypatch.setattr(vulkan_totals, "_LIBRARY", "libvulkan-that-is-not-there.so")

    assert vulkan_totals.gpus() == []


def test_a_python_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no program can be started, as in an application of its own, nothing is known."""
    monkeypatch.setattr(sys, "executable", os.fspath(tmp_path / "none"))

    assert said(monkeypatch, tmp_path) == ()


def test_cards_of_other_vendors() -> None:
    """Cards are listed with their total; NVIDIA has a better way, and the rest shares the RAM."""
    nvidia = VulkanGpu(name="RTX", vendor=0x10DE, device=1, kind=2, total_bytes=GIB)

    (gpu,) = Vulkan(lambda: (nvidia, CARD, INSIDE, PROCESSOR)).find(MACHINE).gpus

    assert (gpu.name, gpu.total_bytes, gpu.free_bytes) == (CARD.name, 24 * GIB, None)
    assert "how much memory" in str(gpu.error)


def test_a_new_intel_card_has_the_total_that_vulkan_tells(tmp_path: Path) -> None:
    """A card whose id is not known here is asked for; without such a card nobody is asked."""
    device = tmp_path / "sys/class/drm/card0/device"
    device.mkdir(parents=True)
    asked: list[str] = []

    def ask() -> tuple[VulkanGpu, ...]:
        asked.append("vulkan")
        return (INSIDE, CARD)

    for name, text in {"vendor": "0x8086", "device": "0xe20b"}.items():
        (device / name).write_text(text)
    Intel(tmp_path, ask).find(MACHINE)
    before = list(asked)
    (device / "device").write_text("0xe211")
    (gpu,) = Intel(tmp_path, ask).find(MACHINE).gpus

    assert before == []
    assert (gpu.name, gpu.total_bytes, gpu.assumed) == (CARD.name, 24 * GIB, False)
