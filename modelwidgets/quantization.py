"""What a quantization is, in a sentence, and how many bits a weight takes.

The bits of a mixture are those that llama.cpp measured with Llama 3.1 8B (its file
`tools/quantize/README.md`); of a scheme that stores all weights alike they follow from its block.
Of a model whose size and parameters are both known exactly they are computed instead.
"""

from __future__ import annotations

from modelwidgets import gguf
from modelwidgets.records import Layer, Quantization
from modelwidgets.stores.manifests import LAYER_TYPE

WEIGHTS = f"{LAYER_TYPE}model"

_ALIKE = "Weights in blocks of 32 that share a scale"
_MIX = "Weights in groups of 16 or 32, which share a scale inside blocks of 256"
_LOOKED_UP = "Groups of weights looked up in a table of patterns, made with an importance matrix"
_TERNARY = "Each weight is -1, 0 or 1 times the scale of its block, for models trained that way"

_MEANINGS: dict[str, tuple[float | None, str]] = {
    "F32": (None, "Not quantized: 32-bit floating point, as some models are trained."),
    "F16": (None, "Not quantized: 16-bit floating point, practically the original weights."),
    "BF16": (None, "Not quantized: bfloat16, the 16-bit format in which most models are trained."),
    "Q8_0": (None, f"{_ALIKE}, 8 bits each: hardly to be told from the original."),
    "Q6_K": (None, f"{_MIX}, 6 bits each: very close to the original."),
    "Q5_0": (None, f"{_ALIKE}, 5 bits each: an older scheme, Q5_K_M is better at this size."),
    "Q5_1": (None, f"{_ALIKE} and an offset, 5 bits each: older, Q5_K_M is better and smaller."),
    "Q5_K_S": (5.57, f"{_MIX}, 5 bits each: little loss."),
    "Q5_K_M": (5.70, f"{_MIX}, 5 bits each, 6 where it matters most: little loss."),
    "Q4_0": (None, f"{_ALIKE}, 4 bits each: older and fast, Q4_K_M loses less at a similar size."),
    "Q4_1": (None, f"{_ALIKE} and an offset, 4 bits each: older, Q4_K_M loses less."),
    "Q4_K_S": (4.67, f"{_MIX}, 4 bits each: some loss."),
    "Q4_K_M": (
        4.89,
        f"{_MIX}, 4 bits each, 6 where it matters most: the usual balance of size and quality.",
    ),
    "Q3_K_S": (3.64, f"{_MIX}, 3 bits each: loss that is noticed."),
    "Q3_K_M": (4.00, f"{_MIX}, 3 bits each, 4 or 5 where it matters most: loss that is noticed."),
    "Q3_K_L": (4.30, f"{_MIX}, 3 bits each, 5 in more places than Q3_K_M: some loss."),
    "Q2_K": (3.16, f"{_MIX}, 2 bits each, 3 or 4 in places: much loss, for lack of memory only."),
    "Q2_K_S": (2.97, f"{_MIX}, 2 bits nearly everywhere: much loss."),
    "IQ4_NL": (4.68, f"{_ALIKE}, 4 bits each on an uneven grid: loses less than Q4_0."),
    "IQ4_XS": (
        4.46,
        "4 bits each on an uneven grid in blocks of 256: nearly Q4_K_S, and smaller.",
    ),
    "IQ3_M": (3.76, f"{_LOOKED_UP}, a mixture of 3 bits and more: loss that is noticed."),
    "IQ3_S": (3.66, f"{_LOOKED_UP}, 3 bits each: loses less than Q3_K_S at the same size."),
    "IQ3_XS": (3.50, f"{_LOOKED_UP}, 3 bits each, less in places: loss that is noticed."),
    "IQ3_XXS": (3.25, f"{_LOOKED_UP}, about 3 bits each: much loss."),
    "IQ2_M": (2.93, f"{_LOOKED_UP}, a mixture of 2 bits and more: much loss."),
    "IQ2_S": (2.74, f"{_LOOKED_UP}, about 2.5 bits each: much loss."),
    "IQ2_XS": (2.59, f"{_LOOKED_UP}, 2.3 bits each: much loss."),
    "IQ2_XXS": (2.38, f"{_LOOKED_UP}, 2 bits each: very much loss."),
    "IQ1_M": (2.15, f"{_LOOKED_UP}, under 2 bits each: only very large models stay of use."),
    "IQ1_S": (2.00, f"{_LOOKED_UP}, 1.6 bits each: only very large models stay of use."),
    "TQ1_0": (None, f"{_TERNARY}, packed tightest."),
    "TQ2_0": (None, f"{_TERNARY}, packed for speed."),
    "Q1_0": (None, "Each weight is one bit, plus or minus the scale of its block of 128."),
    "Q2_0": (None, "Weights in blocks of 64 that share a scale, 2 bits each."),
    "MXFP4": (
        None,
        "4-bit floating point in blocks of 32 that share a scale: gpt-oss was trained in it.",
    ),
    "NVFP4": (
        None,
        "4-bit floating point in blocks of 16 that share a scale, made for recent NVIDIA GPUs.",
    ),
}

_ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "MXFP4_MOE": "MXFP4"}
_BITS_OF = {
    kind.name: kind.block_bytes * 8 / kind.block_elements for kind in gguf.TENSOR_TYPES.values()
}


def explain(
    scheme: str, *, layers: tuple[Layer, ...] = (), parameters: int | None = None
) -> Quantization | None:
    """What `scheme` means; with exact layers and parameters, the bits that the model really takes.

    None where nothing is known, not even a name.
    """
    if not scheme or scheme.lower() == "unknown":
        return None
    key = scheme.upper()
    bits, meaning = _MEANINGS.get(_ALIASES.get(key, key), (None, None))
    weights = sum(layer.size_bytes for layer in layers if layer.media_type == WEIGHTS)
    if weights and parameters:
        return Quantization(
            scheme=scheme,
            meaning=meaning,
            bits_per_weight=weights * 8 / parameters,
            basis=f"{weights:,} bytes of weights / {parameters:,} parameters",
        )
    basis = None
    if bits is not None:
        basis = "typical: measured by llama.cpp with Llama 3.1 8B"
    elif meaning is not None:
        bits, basis = _BITS_OF[_ALIASES.get(key, key)], "by definition"
    return Quantization(scheme=scheme, meaning=meaning, bits_per_weight=bits, basis=basis)
