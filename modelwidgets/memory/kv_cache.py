"""Bytes of the cache that a model keeps of the text so far.

Source: ggml-org/llama.cpp, build b11434: `src/llama-kv-cache.cpp` (rows and cells),
`src/llama-kv-cache-iswa.cpp` (cells of sliding windows), `src/llama-hparams.cpp` (`n_embd_r`,
`n_embd_s`: states of recurrent layers), `src/llama-context.cpp` (tokens for each sequence).
"""

from __future__ import annotations

from dataclasses import dataclass

from modelwidgets.gguf import TENSOR_TYPES
from modelwidgets.memory.shape import LayerShape, ModelShape

CELLS = 256
"""Cells are reserved in steps of so many tokens."""

_ROW_ELEMENTS = 512
_BLOCKS = {
    kind.name.lower(): (kind.block_elements, kind.block_bytes) for kind in TENSOR_TYPES.values()
}
CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """How the cache is asked for."""

    context_tokens: int
    """Over all sequences."""
    sequences: int = 1
    unified: bool = False
    """One pool for all sequences; Ollama gives each its own."""
    key_type: str = "f16"
    value_type: str = "f16"
    flash_attention: bool = True
    micro_batch: int = 512


def padded(count: int, step: int) -> int:
    return -(-count // step) * step


def row_bytes(kind: str, elements: int) -> int:
    """Bytes of one token's keys or values; GGML stores blocks, and a started one counts."""
    block_elements, block_bytes = _BLOCKS[kind]
    return -(-elements // block_elements) * block_bytes


def row_padding(kind: str, elements: int) -> int:
    """What CUDA adds once to a quantized tensor, so that its kernels may read past a last row."""
    block_elements, block_bytes = _BLOCKS[kind]
    missing = -elements % _ROW_ELEMENTS
    return 0 if block_elements == 1 else padded(missing // block_elements * block_bytes, 128)


def sequence_cells(options: CacheOptions) -> int:
    """Tokens that one sequence can hold."""
    total = padded(options.context_tokens, CELLS)
    if options.unified:
        return total
    return padded(total // options.sequences, CELLS)


def streams(options: CacheOptions) -> int:
    return 1 if options.unified else options.sequences


def window_cells(shape: ModelShape, options: CacheOptions) -> int:
    """Tokens that a layer with a sliding window holds: the window and one batch."""
    full = sequence_cells(options)
    shared = options.sequences if options.unified else 1
    return padded(min(full, shape.window * shared + options.micro_batch), CELLS)


def layer_cells(shape: ModelShape, layer: LayerShape, options: CacheOptions) -> int:
    return window_cells(shape, options) if layer.sliding else sequence_cells(options)


def attention_bytes(
    shape: ModelShape, layer: LayerShape, options: CacheOptions, *, on_gpu: bool = True
) -> int:
    """Keys and values of one layer; a GPU pads what is quantized in rows of an odd width."""
    if not layer.cached:
        return 0
    tokens = streams(options) * layer_cells(shape, layer, options)
    stored = [(options.key_type, layer.kv_heads * layer.key_length)]
    if not shape.mla_key_length:
        width = layer.kv_heads * layer.value_length
        if not options.flash_attention:
            # transposed values are as wide as the widest layer
            width = max(one.kv_heads * one.value_length for one in shape.layers if one.cached)
        stored.append((options.value_type, width))
    return sum(
        tokens * row_bytes(kind, width) + (row_padding(kind, width) if on_gpu else 0)
        for kind, width in stored
    )


def state_bytes(shape: ModelShape, layer: LayerShape, options: CacheOptions) -> int:
    """The state of a recurrent layer, one for each sequence, whatever the context."""
    if not layer.recurrent:
        return 0
    return (
        4 * options.sequences * (convolution_elements(shape, layer) + state_elements(shape, layer))
    )


def convolution_elements(shape: ModelShape, layer: LayerShape) -> int:
    if shape.wkv_head_size:
        return shape.token_shifts * shape.embedding_length
    if shape.short_convolution:
        return shape.embedding_length * (shape.short_convolution - 1)
    kept = max(shape.convolution_kernel - 1, 0)
    if shape.linear_head_size:
        return 3 * (kept or 3) * layer.heads * shape.linear_head_size
    return kept * (shape.inner_size + 2 * shape.group_count * shape.state_size)


def state_elements(shape: ModelShape, layer: LayerShape) -> int:
    if shape.wkv_head_size:
        return shape.embedding_length * shape.wkv_head_size
    if shape.short_convolution:
        return 0
    if shape.linear_head_size:
        return shape.linear_head_size**2 * layer.heads
    return shape.state_size * shape.inner_size


def layer_bytes(
    shape: ModelShape, layer: LayerShape, options: CacheOptions, *, on_gpu: bool = True
) -> int:
    attention = attention_bytes(shape, layer, options, on_gpu=on_gpu)
    return attention + state_bytes(shape, layer, options)
