"""First verdicts from the catalog, before any header is read."""

from __future__ import annotations

import time

import pytest

from modelwidgets.memory.glance import Glance
from modelwidgets.memory.kv_cache import CacheOptions
from modelwidgets.memory.layout import RunOptions
from modelwidgets.memory.placement import GpuMemory, RamMemory, place
from tests.fit import rows

GIB = 1 << 30


@pytest.mark.parametrize("name", rows.DIMENSIONS)
@pytest.mark.parametrize("free_gib", [4, 8, 12, 24])
def test_a_glance_agrees_with_the_whole_answer(name: str, free_gib: int) -> None:
    """Away from the border the catalog's dimensions give the verdict that the header gives."""
    model = rows.model(rows.HEADERS, name)
    run = RunOptions(cache=CacheOptions(context_tokens=8192))
    gpus = [GpuMemory(free_bytes=free_gib * GIB)]

    glance = Glance(run, gpus).verdict(rows.DIMENSIONS[name], model.file_bytes)

    placed = place(model, run, gpus)
    assert glance.verdict == placed.verdict
    assert glance.needed_bytes == pytest.approx(placed.estimate.total_bytes, rel=0.06)
    assert glance.gpu_layers == pytest.approx(placed.gpu_layers, abs=3)


def test_unknown_dimensions_are_judged_by_size() -> None:
    """Without dimensions the size alone has to do, and no number of layers is claimed."""
    run = RunOptions(cache=CacheOptions(context_tokens=8192))
    glance = Glance(run, [GpuMemory(free_bytes=12 * GIB)], RamMemory(available_bytes=16 * GIB))

    found = [glance.verdict(None, size * GIB) for size in (2, 20, 60)]

    assert [one.verdict for one in found] == ["full", "partial", "no"]
    assert {one.gpu_layers for one in found} == {None}


def test_without_a_gpu_ram_decides() -> None:
    """No GPU is an answer: on the CPU where RAM suffices, nowhere where it does not."""
    run = RunOptions(cache=CacheOptions(context_tokens=8192))
    dimensions = rows.DIMENSIONS["llama3.1-8b-Q4_K_M"]
    size = rows.model(rows.HEADERS, "llama3.1-8b-Q4_K_M").file_bytes

    found = [
        Glance(run, [], RamMemory(available_bytes=gib * GIB)).verdict(dimensions, size).verdict
        for gib in (16, 4)
    ]

    assert found == ["cpu", "no"]


def test_a_thousand_models_take_a_moment() -> None:
    """What the dimensions decide is worked out once; a verdict is then a few sums."""
    run = RunOptions(cache=CacheOptions(context_tokens=8192))
    glance = Glance(run, [GpuMemory(free_bytes=8 * GIB)])
    start = time.process_time()

    for nth in range(1000):
        for dimensions in rows.DIMENSIONS.values():
            glance.verdict(dimensions, (nth + 1) << 24)

    assert time.process_time() - start < 0.25
