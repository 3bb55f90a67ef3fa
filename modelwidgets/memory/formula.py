"""The size of compute buffers by formula, for architectures whose graph is not known here.

It also serves where only dimensions are known, before any header was read: many models at once,
each in microseconds.

A buffer holds what every batch needs (its input several times, the masks of the attention) and the
largest step. The factors were fitted by the project's memory model to allocations of llama.cpp
b11434; known architectures are within a few per cent, others within the range that `RANGE` gives.
"""

from __future__ import annotations

from modelwidgets.memory.kv_cache import layer_cells, sequence_cells, streams, window_cells
from modelwidgets.memory.layout import Layout, RunOptions
from modelwidgets.memory.shape import ModelShape
from modelwidgets.memory.sized_model import SizedModel

RANGE = (0.5, 2.2)
"""What an unknown architecture may need, as factors on the formula."""
_INPUTS = 4
_PIPELINE_COPIES = 4


def compute_bytes(
    model: SizedModel, layout: Layout, run: RunOptions
) -> tuple[tuple[int, ...], int]:
    """Bytes for each GPU, and for RAM."""
    shape = model.shape
    rows = 4 * run.tokens * shape.embedding_length
    base = _INPUTS * rows + _masks(shape, run)
    layer_step = _largest_step(shape, run, widths=2 if _is_plain(model) else 3)
    logits = 4 * shape.vocabulary * run.outputs
    step = max(layer_step, logits)
    if layout.gpu_count == 0:
        return (), base + step + rows
    if layout.is_pipelined:
        inputs = _PIPELINE_COPIES * base
        middle = layer_step + max(inputs - 5 * rows, 0)
        last = step + max(inputs - 5 * rows, 0)
        return (layer_step + inputs, *[middle] * (layout.gpu_count - 2), last), 3 * base
    copied = 0
    if layout.moved or layout.ram in layout.layers:
        copied = max(
            largest if device == layout.ram else moved_bytes(model, nth)
            for nth, (device, largest) in enumerate(
                zip(layout.layers, model.largest_bytes, strict=True)
            )
            if device == layout.ram or nth in layout.moved
        )
    first = base + step + copied
    return (first, *[base + step] * (layout.gpu_count - 1)), base


def moved_bytes(model: SizedModel, nth: int) -> int:
    """The largest tensor of the experts of a layer, of which there are three alike."""
    return model.expert_bytes[nth] // 3 or model.largest_bytes[nth]


def _masks(shape: ModelShape, run: RunOptions) -> int:
    if shape.is_encoder:
        return 4 * run.tokens * run.tokens
    cells = sequence_cells(run.cache)
    if shape.window and any(layer.sliding for layer, _ in shape.kinds):
        cells += window_cells(shape, run.cache)
    return (2 if run.cache.flash_attention else 4) * run.tokens * cells


def _is_plain(model: SizedModel) -> bool:
    """No gate beside the first product of the feed-forward, so one buffer less."""
    if model.weights is None or not model.weights.layers:
        return False
    layer = model.weights.layers[-1]
    up, down = layer.get("ffn_up.weight"), layer.get("ffn_down.weight")
    if up is None or down is None or "ffn_gate.weight" in layer:
        return False
    return up.shape[-1] == down.shape[0]


def _largest_step(shape: ModelShape, run: RunOptions, *, widths: int) -> int:
    tokens, size = run.tokens, shape.embedding_length
    steps = [0]
    for layer, _ in shape.kinds:
        steps.append(4 * widths * tokens * layer.feed_forward_length)
        if layer.experts_used and shape.expert_count:
            width = shape.expert_feed_forward_length or layer.feed_forward_length
            wide = 3 * width + (size if size > 2 * width else 0)
            steps.append(4 * tokens * layer.experts_used * wide)
            if shape.shared_feed_forward_length:
                steps.append(4 * tokens * (2 * layer.experts_used * size + 4 * size))
        looked = 4 * tokens * layer.heads * layer.value_length
        if not layer.heads:
            continue
        if shape.mla_key_length:
            stored = shape.kv_lora_rank + shape.rope_dimensions
            by_head = 2 * stored + shape.mla_key_length
            converted = 2 * sequence_cells(run.cache) * stored
            quantized = run.cache.key_type != "f16"
            scores = 0 if run.cache.flash_attention else 4 * tokens * sequence_cells(run.cache)
            steps.append(tokens * layer.heads * 4 * by_head + quantized * converted)
            steps.append(layer.heads * scores)
            continue
        cells = layer_cells(shape, layer, run.cache)
        if run.cache.flash_attention:
            again = 2 if layer.heads * layer.value_length > size else 1
            attention = looked * again
            tokens_stored = streams(run.cache) * cells
            if run.cache.key_type != "f16":
                attention += 2 * tokens_stored * layer.kv_heads * layer.key_length
            if run.cache.value_type != "f16":
                attention += 2 * tokens_stored * layer.kv_heads * layer.value_length
        else:
            attention = looked + 4 * tokens * cells * layer.heads
            attention += 4 * tokens * layer.kv_heads * (layer.key_length + layer.value_length)
        steps.append(attention)
    return max(steps)
