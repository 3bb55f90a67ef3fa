"""The formula for transformers, on models whose parts are known."""

from __future__ import annotations

import pytest

from modelwidgets.memory.hugging_face import (
    HubModel,
    TransformersRun,
    activation_bytes,
    cache_bytes,
    estimate,
    place,
    weights_bytes,
)
from modelwidgets.memory.placement import GpuMemory, RamMemory
from tests.hub_server import LLAMA

GIB = 1 << 30
MODEL = HubModel(parameters={"BF16": 8030261248}, config=LLAMA)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (TransformersRun(), 2 * 8030261248),
        (TransformersRun(dtype="float32"), 4 * 8030261248),
        (TransformersRun(bits=8), 2 * 1050673152 + 6979588096),
        (TransformersRun(bits=4), int(2 * 1050673152 + 6979588096 * 0.5625)),
    ],
)
def test_weights_follow_the_dtype(run: TransformersRun, expected: int) -> None:
    """Stored as published, cast, or quantized except for the embeddings and the output."""
    assert weights_bytes(MODEL, run) == expected


def test_the_cache_holds_two_bytes_a_value() -> None:
    """Llama 3.1 8B takes 128 KiB a token, for each sequence."""
    assert cache_bytes(MODEL, TransformersRun(tokens=8192, batch=2)) == 2 * GIB


def test_layers_with_a_window_keep_the_window() -> None:
    """Gemma 3: one layer in six keeps everything."""
    config = {
        "text_config": {
            "num_hidden_layers": 6,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "hidden_size": 2560,
            "sliding_window": 1024,
            "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
        }
    }
    model = HubModel(parameters={"BF16": 10}, config=config)

    found = cache_bytes(model, TransformersRun(tokens=8192))

    assert found == 2 * 2 * 4 * 256 * (5 * 1024 + 8192)


def test_compressed_attention_is_kept_expanded() -> None:
    """transformers stores whole heads where llama.cpp stores the compressed vector."""
    config = {
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "hidden_size": 2048,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
    }
    model = HubModel(parameters={"BF16": 10}, config=config)

    assert cache_bytes(model, TransformersRun(tokens=1)) == 27 * 2 * 16 * (192 + 128)


def test_eager_attention_pays_for_its_scores() -> None:
    """The square of the tokens shows up with eager attention only."""
    plain = activation_bytes(MODEL, TransformersRun(tokens=8192))
    eager = activation_bytes(MODEL, TransformersRun(tokens=8192, eager_attention=True))

    assert eager == 6 * 32 * 8192**2
    assert eager > 3 * plain


def test_the_report_is_a_guess_with_a_range() -> None:
    """Terms add up; weights rest on what is published, the rest is marked as a guess."""
    found = estimate(MODEL, TransformersRun(tokens=8192))

    assert sum(term.size_bytes for term in found.terms) == found.total_bytes
    assert {term.part: term.basis for term in found.terms} == {
        "weights": "manifest",
        "kv_cache": "manifest",
        "compute": "guess",
        "overhead": "guess",
    }
    assert found.least_bytes < found.total_bytes < found.most_bytes


@pytest.mark.parametrize(
    ("free_gib", "ram_gib", "verdict"),
    [
        ((24,), 32, "full"),
        ((12, 12), 32, "full"),
        ((12,), 32, "partial"),
        ((), 32, "cpu"),
        ((), 8, "no"),
    ],
)
def test_where_it_goes(free_gib: tuple[int, ...], ram_gib: int, verdict: str) -> None:
    """The same verdicts as for llama.cpp, over the GPUs and then into RAM."""
    placed = place(
        MODEL,
        TransformersRun(tokens=2048),
        [GpuMemory(free_bytes=free * GIB) for free in free_gib],
        RamMemory(available_bytes=ram_gib * GIB),
    )

    assert placed.verdict == verdict
    assert sum(placed.layers_by_gpu) == placed.gpu_layers <= placed.layer_count == 33


def test_a_config_without_dimensions_costs_weights_only() -> None:
    """A repository may publish next to nothing, or nonsense; that is no error."""
    model = HubModel(parameters={"U8": 100}, config={"num_hidden_layers": "many"})

    found = estimate(model, TransformersRun())

    assert {term.part: term.size_bytes for term in found.terms}["weights"] == 100
