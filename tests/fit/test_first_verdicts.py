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
DIMENSIONS: dict[str, dict[str, int | str]] = {
    "llama3.1-8b-Q4_K_M": {
        "gguf_architecture": "llama",
        "parameter_count": 8030261248,
        "block_count": 32,
        "embedding_length": 4096,
        "feed_forward_length": 14336,
        "head_count": 32,
        "head_count_kv": 8,
        "key_length": 128,
        "value_length": 128,
        "vocab_size": 128256,
    },
    "gemma3-4b-Q8_0": {
        "gguf_architecture": "gemma3",
        "parameter_count": 3880099328,
        "block_count": 34,
        "embedding_length": 2560,
        "feed_forward_length": 10240,
        "head_count": 8,
        "head_count_kv": 4,
        "key_length": 256,
        "value_length": 256,
        "vocab_size": 262144,
        "sliding_window": 1024,
        "sliding_window_pattern": 6,
    },
    "qwen3-30b-a3b-Q4_K_M": {
        "gguf_architecture": "qwen3moe",
        "parameter_count": 30532122624,
        "block_count": 48,
        "embedding_length": 2048,
        "feed_forward_length": 6144,
        "head_count": 32,
        "head_count_kv": 4,
        "key_length": 128,
        "value_length": 128,
        "vocab_size": 151936,
        "expert_count": 128,
        "expert_used_count": 8,
        "expert_feed_forward_length": 768,
    },
}


@pytest.mark.parametrize("name", DIMENSIONS)
@pytest.mark.parametrize("free_gib", [4, 8, 12, 24])
def test_a_glance_agrees_with_the_whole_answer(name: str, free_gib: int) -> None:
    """Away from the border the catalog's dimensions give the verdict that the header gives."""
    model = rows.model(rows.HEADERS, name)
    run = RunOptions(cache=CacheOptions(context_tokens=8192))
    gpus = [GpuMemory(free_bytes=free_gib * GIB)]

    glance = Glance(run, gpus).verdict(DIMENSIONS[name], model.file_bytes)

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
    dimensions = DIMENSIONS["llama3.1-8b-Q4_K_M"]
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
        for dimensions in DIMENSIONS.values():
            glance.verdict(dimensions, (nth + 1) << 24)

    assert time.process_time() - start < 0.25
