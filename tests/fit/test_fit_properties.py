"""What must be true of every estimate, whatever the options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwidgets.gguf import GgufHeader, read_header
from modelwidgets.memory.estimate import device_bytes, estimate
from modelwidgets.memory.kv_cache import CACHE_TYPES, CacheOptions
from modelwidgets.memory.layout import Layout, RunOptions
from modelwidgets.memory.placement import GpuMemory, RamMemory, place
from modelwidgets.memory.sized_model import SizedModel
from tests.fit import rows

MIB = 1 << 20
NAMES = (
    "qwen2.5-0.5b-Q4_K_M",
    "gemma3-4b-Q8_0",
    "lfm2-1.2b-Q4_K_M",
    "deepseek-v2-lite-Q4_K_M",
    "gpt-oss-20b-MXFP4",
)
models = st.sampled_from(NAMES).map(lambda name: rows.model(rows.HEADERS, name))
contexts = st.integers(1, 131072)
runs = st.builds(
    lambda context, sequences, kind, flash, batch, rows_: RunOptions(
        cache=CacheOptions(
            context_tokens=context * sequences,
            sequences=sequences,
            key_type=kind if flash else "f16",
            value_type=kind if flash else "f16",
            flash_attention=flash,
            micro_batch=min(batch, context * sequences),
        ),
        output_rows=rows_,
    ),
    contexts,
    st.integers(1, 8),
    st.sampled_from(CACHE_TYPES),
    st.booleans(),
    st.sampled_from((32, 256, 512, 2048)),
    st.integers(1, 4),
)
Drawn = Callable[[SizedModel], Layout]


def _split(layers: int, shares: list[float]) -> Drawn:
    return lambda model: Layout.split(model.layer_count, layers, tuple(shares))


layouts = st.builds(
    _split, st.integers(0, 60), st.lists(st.floats(0.1, 10), min_size=1, max_size=3)
)


@given(model=models, run=runs, layout=layouts)
@settings(max_examples=25, deadline=None)
def test_terms_are_positive_and_add_up(model: SizedModel, run: RunOptions, layout: Drawn) -> None:
    """No term is below zero, and together they are the total."""
    found = estimate(model, layout(model), run)

    assert all(term.size_bytes > 0 for term in found.terms)
    assert sum(term.size_bytes for term in found.terms) == found.total_bytes
    assert found.least_bytes <= found.total_bytes <= found.most_bytes


@given(model=models, run=runs, layout=layouts, more=st.integers(0, 65536))
@settings(max_examples=25, deadline=None)
def test_more_context_never_needs_less(
    model: SizedModel, run: RunOptions, layout: Drawn, more: int
) -> None:
    """A longer context never takes memory off, on the same layout."""
    longer = replace(run, cache=replace(run.cache, context_tokens=run.cache.context_tokens + more))

    before = estimate(model, layout(model), run)
    after = estimate(model, layout(model), longer)

    assert after.total_bytes >= before.total_bytes


@given(model=models, context=st.integers(256, 32768), free=st.integers(0, 40000))
@settings(max_examples=12, deadline=None)
def test_more_memory_never_holds_fewer_layers(model: SizedModel, context: int, free: int) -> None:
    """One GiB more holds at least as many layers, and what is held leaves the margin free."""
    run = RunOptions(cache=CacheOptions(context_tokens=context, micro_batch=min(512, context)))

    less = place(model, run, [GpuMemory(free_bytes=free * MIB)])
    more = place(model, run, [GpuMemory(free_bytes=(free + 1024) * MIB)])

    assert more.gpu_layers >= less.gpu_layers
    if less.gpu_layers:
        assert less.margins_bytes[0] >= 1024 * MIB


DENSE = ("qwen2.5-0.5b-Q4_K_M", "gemma3-4b-Q8_0", "lfm2-1.2b-Q4_K_M", "llama3.1-8b-Q4_K_M")


@given(
    name=st.sampled_from(DENSE),
    context=st.integers(256, 32768),
    kind=st.sampled_from(("f16", "q8_0")),
    share=st.floats(0.1, 1.4),
)
@settings(max_examples=15, deadline=None)
def test_as_many_layers_are_placed_as_fit(name: str, context: int, kind: str, share: float) -> None:
    """The search tries few layouts, and ends at the border: these layers fit, one more does not."""
    model = rows.model(rows.HEADERS, name)
    cache = CacheOptions(
        context_tokens=context,
        key_type=kind,
        value_type=kind,
        micro_batch=min(512, context),
    )
    run, free = RunOptions(cache=cache), int(model.file_bytes * share)
    target = free - (256 << 20)

    placed = place(model, run, [GpuMemory(free_bytes=free, margin_bytes=256 << 20)])

    def used(layers: int) -> int:
        parts, _ = device_bytes(model, Layout.split(model.layer_count, layers, (1.0,)), run)
        return parts[0].total

    if placed.gpu_layers:
        assert used(placed.gpu_layers) <= target
    if placed.gpu_layers < placed.layer_count:
        assert used(placed.gpu_layers + 1) > target


def test_an_unknown_architecture_gives_a_range_and_says_so() -> None:
    """Weights stay exact; the compute buffers are guessed, marked, and given as a range."""
    header = _renamed(rows.HEADERS / "qwen2.5-0.5b-Q8_0.head", "unheard-of")
    model = SizedModel.from_header(header)
    known = rows.model(rows.HEADERS, "qwen2.5-0.5b-Q8_0")
    run = RunOptions(cache=CacheOptions(context_tokens=8192))
    layout = Layout.split(model.layer_count, rows.ALL, (1.0,))

    found = estimate(model, layout, run)

    exact = estimate(known, layout, run)
    assert not found.known_architecture
    assert exact.known_architecture
    assert exact.least_bytes == exact.total_bytes == exact.most_bytes
    assert found.least_bytes < exact.total_bytes < found.most_bytes
    assert {term.part: term.basis for term in found.terms} == {
        "weights": "header",
        "kv_cache": "header",
        "compute": "guess",
        "output": "header",
    }


@pytest.mark.parametrize("damage", ["no layers", "no table", "odd numbers", "no tensors"])
def test_a_header_that_lacks_things_still_gives_an_estimate(damage: str) -> None:
    """A file may say anything; what is left out counts as nothing, and no error escapes."""
    header = _renamed(rows.HEADERS / "qwen2.5-0.5b-Q8_0.head", "qwen2")
    metadata, tensors = dict(header.metadata), header.tensors
    if damage == "no layers":
        metadata["qwen2.block_count"] = 0
    elif damage == "no table":
        tensors = tuple(tensor for tensor in tensors if tensor.name != "token_embd.weight")
    elif damage == "odd numbers":
        metadata.update(
            {
                "qwen2.attention.head_count": [],
                "qwen2.attention.head_count_kv": "many",
                "qwen2.embedding_length": -5,
                "qwen2.vocab_size": 1 << 60,
                "qwen2.block_count": 1 << 30,
            }
        )
    else:
        tensors = ()
    model = SizedModel.from_header(
        GgufHeader(
            version=3,
            byte_order="little",
            metadata=metadata,
            tensors=tensors,
            data_offset=0,
        )
    )
    run = RunOptions(cache=CacheOptions(context_tokens=4096))

    placed = place(model, run, [GpuMemory(free_bytes=8 << 30)], RamMemory(available_bytes=8 << 30))

    assert placed.estimate.total_bytes >= 0


def _renamed(path: Path, architecture: str) -> GgufHeader:
    header = read_header(path)
    old = header.architecture
    metadata = {
        key.replace(f"{old}.", f"{architecture}.", 1): value
        for key, value in header.metadata.items()
    }
    metadata["general.architecture"] = architecture
    return replace(header, metadata=metadata)
