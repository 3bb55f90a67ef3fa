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

from modelwidgets.fit_records import (
    FitVerdict,
    MemoryBasis,
    MemoryEstimate,
    MemoryPart,
    MemoryTerm,
    Placement,
)
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
CONTEXT_BYTES = 450 << 20
"""A CUDA context and its libraries, where the number of processors is not known."""


_GENERATING = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")
_MOST_LAYERS = 1024
_LARGEST = 1 << 30
"""No dimension of a model comes near."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """What the hub says of a repository."""

    parameters: Mapping[str, int]
    """How many of each dtype: `safetensors.parameters` of the model's information."""
    config: Mapping[str, Any]
    """Its `config.json`."""
    basis: MemoryBasis = "manifest"
    """What the parameters are from."""


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
    model: HubModel, run: TransformersRun, *, context_bytes: int = CONTEXT_BYTES
) -> MemoryEstimate:
    """Everything on one device; on several what is computed and the context count for each."""
    return _shared_out(model, run, {0: layer_count(model)}, {0: context_bytes})


def layer_count(model: HubModel) -> int:
    """The output counts as one."""
    return min(_number(_text(model.config), "num_hidden_layers") or 1, _MOST_LAYERS) + 1


def longest_context(model: HubModel) -> int | None:
    """For which the model was made."""
    return _number(_text(model.config), "max_position_embeddings") or None


def place(
    model: HubModel,
    run: TransformersRun,
    gpus: Sequence[GpuMemory],
    ram: RamMemory | None = None,
    *,
    contexts: Sequence[int] | None = None,
    pooled: bool = False,
) -> Placement:
    """Where `device_map="auto"` puts it: whole layers over the GPUs, the rest in RAM.

    `free_bytes` of a GPU is before PyTorch's own context, which is counted here; `contexts` says
    how large that is on each. `pooled`: what GPUs take is missing in RAM.
    """
    contexts = [CONTEXT_BYTES] * len(gpus) if contexts is None else contexts
    count = layer_count(model)
    computed = _computed(model, run)
    each = max(-(-(weights_bytes(model, run) + cache_bytes(model, run)) // count), 1)
    left, layers = count, dict[int | None, int]()
    for nth, gpu in enumerate(gpus):
        room = gpu.free_bytes - contexts[nth] - computed
        taken = min(max(room // each, 0), left)
        if taken:
            layers[nth] = taken
            left -= taken
    if left:
        layers[None] = left
    found = _shared_out(model, run, layers, dict(enumerate(contexts)))
    used = {
        nth: sum(term.size_bytes for term in found.terms if term.gpu == nth)
        for nth in (None, *range(len(gpus)))
    }
    in_ram = used[None]
    needed = found.total_bytes if pooled else in_ram
    verdict: FitVerdict = "cpu" if left == count else "partial" if left else "full"
    if ram is not None and not ram.holds(needed):
        verdict = "no"
    return Placement(
        verdict=verdict,
        gpu_layers=count - left,
        layer_count=count,
        layers_by_gpu=tuple(layers.get(nth, 0) for nth in range(len(gpus))),
        experts_in_ram=0,
        gpus=tuple(range(len(gpus))),
        estimate=found,
        margins_bytes=tuple(gpu.free_bytes - used[nth] for nth, gpu in enumerate(gpus)),
        fits_when_forced=False,
        ram_needed_bytes=needed,
        ram_available_bytes=None if ram is None else ram.available_bytes,
        swap_bytes=0 if ram is None else ram.swapped(needed),
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
    if not layers or not heads or not _generates(model.config):
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


def _computed(model: HubModel, run: TransformersRun) -> int:
    cache, computed = cache_bytes(model, run), activation_bytes(model, run)
    return computed + int(_FRAGMENTATION * (cache + computed))


def _shared_out(
    model: HubModel,
    run: TransformersRun,
    layers: Mapping[int | None, int],
    contexts: Mapping[int, int],
) -> MemoryEstimate:
    """The terms of so many layers on each device; None stands for the RAM."""
    count, computed = sum(layers.values()), _computed(model, run)
    weights, cache = weights_bytes(model, run), cache_bytes(model, run)
    terms: list[MemoryTerm] = []
    before = 0
    for device, taken in layers.items():
        end = before + taken
        shares: list[tuple[MemoryPart, int, MemoryBasis]] = [
            ("weights", weights * end // count - weights * before // count, model.basis),
            ("kv_cache", cache * end // count - cache * before // count, model.basis),
            ("compute", computed, "guess"),
            ("overhead", 0 if device is None else contexts[device], "guess"),
        ]
        terms.extend(
            MemoryTerm(part=part, gpu=device, size_bytes=size, basis=basis)
            for part, size, basis in shares
            if size
        )
        before = end
    total = sum(term.size_bytes for term in terms)
    doubt = sum(term.size_bytes for term in terms if term.part == "compute")
    return MemoryEstimate(
        terms=tuple(terms),
        total_bytes=total,
        least_bytes=total - doubt // 2,
        most_bytes=total + doubt,
        known_architecture=False,
    )


def _generates(config: Mapping[str, Any]) -> bool:
    """Models that only read, such as those for embeddings, keep no cache."""
    named = config.get("architectures")
    if config.get("is_encoder_decoder"):
        return False
    if not isinstance(named, list) or not named:
        return True
    return any(str(one)[-40:].endswith(_GENERATING) for one in named[:8])


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part about text, which models that also see keep apart."""
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else config


def _number(config: Mapping[str, Any], key: str) -> int:
    """A count from a file that may say anything."""
    found = config.get(key)
    return found if type(found) is int and 0 < found <= _LARGEST else 0
