"""Real headers with damaged dimensions and tensors: each gets an estimate, soon and in bounds."""

from __future__ import annotations

import random
import time
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from modelwidgets.gguf import GgufHeader, read_header
from modelwidgets.memory.kv_cache import CacheOptions
from modelwidgets.memory.layout import RunOptions
from modelwidgets.memory.placement import GpuMemory, RamMemory, place
from modelwidgets.memory.sized_model import SizedModel
from tests.fit import rows

GIB = 1 << 30
NUMBERS: list[Any] = [
    *(0, 1, 3, -1, 1 << 20, 1 << 31, 1 << 40, 1 << 63, 1e300, float("nan"), float("inf")),
    *("x", True, None, [], [0] * 3, [1 << 40] * 3, [True, False], ["a", 5]),
]
SIZES = (0, 1, 32, 1 << 20, 1 << 40)
NAMES = (
    *("output.weight", "rope_freqs.weight", "v.x", "blk.9999.x"),
    *("blk.0.ffn_up_exps.weight", "blk.1.attn_q.weight"),
)
RUN = RunOptions(cache=CacheOptions(context_tokens=8192))


def damaged(header: GgufHeader, dice: random.Random) -> GgufHeader:
    """With one to three odd numbers, and perhaps odd tensors."""
    metadata, tensors = dict(header.metadata), list(header.tensors)
    keys = [key for key in metadata if key.startswith(f"{header.architecture}.")]
    for _ in range(dice.choice((1, 1, 2, 3))):
        metadata[dice.choice(keys)] = dice.choice(NUMBERS)
    for _ in range(dice.choice((0, 0, 1, 2))):
        at = dice.randrange(len(tensors))
        shape = tuple(dice.choice(SIZES) for _ in range(dice.randrange(5)))
        tensors[at] = dice.choice(
            (
                replace(tensors[at], shape=shape),
                replace(tensors[at], type=dice.choice(("F32", "Q4_K", "unknown"))),
                replace(tensors[at], name=dice.choice(NAMES)),
            )
        )
    return replace(header, metadata=metadata, tensors=tuple(tensors))


def placed(header: GgufHeader, free_gib: int) -> int:
    gpus = [GpuMemory(free_bytes=free_gib * GIB)]
    found = place(SizedModel.from_header(header), RUN, gpus, RamMemory(available_bytes=64 * GIB))
    return found.estimate.total_bytes


def test_damaged_dimensions_still_give_an_estimate() -> None:
    """A file may say anything of itself: nothing crashes, hangs or fills the memory."""
    paths = sorted((*rows.HEADERS.iterdir(), *(rows.DATA / "architectures").iterdir()))
    headers = [read_header(path) for path in paths]
    dice = random.Random(20261122)  # noqa: S311 - no secret
    slowest = 0.0

    for _ in range(150):
        header = damaged(dice.choice(headers), dice)
        began = time.thread_time()
        assert placed(header, dice.choice((3, 6, 30))) >= 0
        slowest = max(slowest, time.thread_time() - began)

    assert slowest < 1


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("qwen3-30b-a3b-Q4_K_M", "qwen3moe.expert_used_count", 1 << 40),
        ("qwen3-30b-a3b-Q4_K_M", "qwen3moe.expert_count", 1 << 40),
        ("llama3.1-8b-Q4_K_M", "llama.block_count", 1 << 40),
        ("gemma3-4b-Q4_K_M", "gemma3.attention.sliding_window_pattern", [True, False] * 512),
    ],
)
def test_counts_beyond_reason_take_no_memory(name: str, key: str, value: object) -> None:
    """What is drawn for each layer or expert is bounded, whatever a file claims."""
    header = read_header(rows.HEADERS / f"{name}.head")
    assert key in header.metadata or "pattern" in key
    header = replace(header, metadata={**header.metadata, key: value})
    tracemalloc.start()

    try:
        placed(header, 6)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak_bytes < 64 << 20
