"""What a model needs under transformers, from what its repository publishes.

There is no allocator to follow here as there is for llama.cpp: PyTorch caches what it frees, and
code of the model decides what it keeps. So this is a formula, and its basis says so.

Sources: huggingface/transformers, `src/transformers/cache_utils.py` (a cache keeps two tensors a
layer, those with a window only the window, compressed attention expanded) and the modelling code
(attention scores exist with eager attention only, logits of the last token only in a generation);
huggingface/accelerate, its guide to memory estimates (20 % more than the weights for inference);
bitsandbytes-foundation/bitsandbytes (4-bit linear layers with a scale for 64 values).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelwidgets.fit_records import FitVerdict, MemoryBasis, MemoryEstimate, MemoryTerm, Placement
from modelwidgets.memory.placement import GpuMemory, RamMemory

_BYTES_OF_DTYPE = {
    "F64": 8.0,
    "F32": 4.0,
    "F16": 2.0,
    "BF16": 2.0,
    "F8_E4M3": 1.0,
    "F8_E5M2": 1.0,
    "I64": 8.0,
    "I32": 4.0,
    "I16": 2.0,
    "I8": 1.0,
    "U8": 1.0,
    "BOOL": 1.0,
}
_DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float8": "F8_E4M3"}
_FLOATS = frozenset(("F64", "F32", "F16", "BF16"))
_FOUR_BIT_BYTES = 0.5 + 0.0625
"""A nibble and its part of the scale."""
_EIGHT_BIT_BYTES = 1.0
_FRAGMENTATION = 0.2
"""Of what is computed: what the caching allocator keeps beside it."""
_CONTEXT_BYTES = 450 << 20
"""A CUDA context and its libraries, where the number of processors is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """What the hub says of a repository."""

    parameters: Mapping[str, int]
    """How many of each dtype: `safetensors.parameters` of the model's information."""
    config: Mapping[str, Any]
    """Its `config.json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformersRun:
    """How a model is loaded and asked."""

    tokens: int = 4096
    """Prompt and answer together."""
    batch: int = 1
    dtype: str | None = None
    """`float16`, `bfloat16`...; None keeps what the files hold."""
    bits: int | None = None
    """8 or 4 with bitsandbytes."""
    eager_attention: bool = False


def estimate(
    model: HubModel, run: TransformersRun, *, context_bytes: int = _CONTEXT_BYTES
) -> MemoryEstimate:
    """Everything on one device; on several the context counts once for each."""
    return _summed(_sizes(model, run, context_bytes), gpu=0)


def place(
    model: HubModel,
    run: TransformersRun,
    gpus: Sequence[GpuMemory],
    ram: RamMemory | None = None,
) -> Placement:
    """Where `device_map="auto"` puts it: whole layers over the GPUs, the rest in RAM.

    `free_bytes` of a GPU is before PyTorch's own context, which is counted here.
    """
    sizes = _sizes(model, run, _CONTEXT_BYTES)
    layers = _text(model.config).get("num_hidden_layers")
    count = layers if isinstance(layers, int) and layers > 0 else 1
    weights = sizes["weights"]
    beside = sum(sizes.values()) - weights
    room = [max(gpu.free_bytes - beside, 0) for gpu in gpus]
    each = max(weights // (count + 1), 1)
    by_gpu = []
    left = count + 1
    for free in room:
        taken = min(free // each, left)
        by_gpu.append(taken)
        left -= taken
    on_gpus = sum(by_gpu)
    verdict: FitVerdict = "full" if gpus and left == 0 else "partial" if on_gpus else "cpu"
    found = _summed(sizes, gpu=0 if verdict == "full" else None)
    in_ram = 0 if verdict == "full" else left * each + (0 if on_gpus else beside)
    if ram is not None and not ram.holds(in_ram):
        verdict = "no"
    return Placement(
        verdict=verdict,
        gpu_layers=on_gpus,
        layer_count=count + 1,
        layers_by_gpu=tuple(by_gpu),
        experts_in_ram=0,
        gpus=tuple(range(len(gpus))),
        estimate=found,
        margins_bytes=tuple(
            gpu.free_bytes - beside - taken * each for gpu, taken in zip(gpus, by_gpu, strict=True)
        ),
        fits_when_forced=False,
        ram_needed_bytes=in_ram,
        ram_available_bytes=None if ram is None else ram.available_bytes,
        swap_bytes=0 if ram is None else ram.swapped(in_ram),
    )


def weights_bytes(model: HubModel, run: TransformersRun) -> int:
    """Parameters by dtype; quantizing on load leaves embeddings and the output as they are."""
    target = _DTYPES.get(run.dtype or "")
    stored = sum(
        count * _BYTES_OF_DTYPE.get(target if target and dtype in _FLOATS else dtype, 2.0)
        for dtype, count in model.parameters.items()
    )
    if run.bits not in (4, 8):
        return int(stored)
    total = sum(model.parameters.values())
    config = _text(model.config)
    table = _number(config, "vocab_size") * _number(config, "hidden_size")
    kept = min(table if model.config.get("tie_word_embeddings") else 2 * table, total)
    wide = _BYTES_OF_DTYPE[target or "F16"]
    narrow = _FOUR_BIT_BYTES if run.bits == 4 else _EIGHT_BIT_BYTES
    return int(kept * wide + (total - kept) * narrow)


def cache_bytes(model: HubModel, run: TransformersRun) -> int:
    """Keys and values in two bytes each."""
    config = _text(model.config)
    layers = _number(config, "num_hidden_layers")
    heads = _number(config, "num_attention_heads")
    if not layers or not heads or model.config.get("is_encoder_decoder"):
        return 0
    kv_heads = _number(config, "num_key_value_heads") or heads
    width = _number(config, "head_dim") or _number(config, "hidden_size") // heads
    keys, values = width, width
    if config.get("kv_lora_rank"):
        keys = _number(config, "qk_nope_head_dim") + _number(config, "qk_rope_head_dim")
        values = _number(config, "v_head_dim")
        kv_heads = heads
    each = 2 * kv_heads * (keys + values) * run.batch
    window = _number(config, "sliding_window") or run.tokens
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and kinds:
        full = kinds.count("full_attention")
        sliding = kinds.count("sliding_attention") + kinds.count("chunked_attention")
        return each * (full * run.tokens + sliding * min(window, run.tokens))
    uses_window = config.get("use_sliding_window", config.get("model_type") == "mistral")
    return each * layers * (min(window, run.tokens) if uses_window else run.tokens)


def activation_bytes(model: HubModel, run: TransformersRun) -> int:
    """The widest step of a prompt: the feed-forward, the logits, or the scores if they exist."""
    config = _text(model.config)
    tokens = run.tokens * run.batch
    width = _number(config, "hidden_size")
    forward = 2 * tokens * (4 * width + 3 * _number(config, "intermediate_size"))
    logits = 4 * _number(config, "vocab_size") * run.batch
    scores = 0
    if run.eager_attention:
        scores = 6 * _number(config, "num_attention_heads") * run.tokens**2 * run.batch
    return max(forward, logits, scores)


def _sizes(model: HubModel, run: TransformersRun, context_bytes: int) -> dict[str, int]:
    cache, computed = cache_bytes(model, run), activation_bytes(model, run)
    return {
        "weights": weights_bytes(model, run),
        "kv_cache": cache,
        "compute": computed + int(_FRAGMENTATION * (cache + computed)),
        "overhead": context_bytes,
    }


def _summed(sizes: Mapping[str, int], *, gpu: int | None) -> MemoryEstimate:
    published: MemoryBasis = "manifest"
    guessed: MemoryBasis = "guess"
    terms = tuple(
        term
        for term in (
            MemoryTerm(part="weights", gpu=gpu, size_bytes=sizes["weights"], basis=published),
            MemoryTerm(part="kv_cache", gpu=gpu, size_bytes=sizes["kv_cache"], basis=published),
            MemoryTerm(part="compute", gpu=gpu, size_bytes=sizes["compute"], basis=guessed),
            MemoryTerm(part="overhead", gpu=gpu, size_bytes=sizes["overhead"], basis=guessed),
        )
        if term.size_bytes
    )
    total = sum(sizes.values())
    return MemoryEstimate(
        terms=terms,
        total_bytes=total,
        least_bytes=total - sizes["compute"] // 2,
        most_bytes=total + sizes["compute"],
        known_architecture=False,
    )


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part about text, which models that also see keep apart."""
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else config


def _number(config: Mapping[str, Any], key: str) -> int:
    found = config.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0
