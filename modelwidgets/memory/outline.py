"""A model as far as its dimensions and the size of its download tell: layers count as equal.

It serves where the header of the file cannot be had: without a network, and for the other
quantizations of a family, whose headers nobody wants to fetch just to offer them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelwidgets.memory.glance import UNKNOWN_BYTES, UNKNOWN_SHARE, Dimensions, Shares, shares_of
from modelwidgets.memory.remembered import Remembered
from modelwidgets.memory.shape import ModelShape
from modelwidgets.memory.sized_model import SizedModel

_UNKNOWN = {"gguf_architecture": "unknown", "block_count": 32}
"""What a model of which only the size is known counts as."""


def outlined(
    dimensions: Dimensions | None, size_bytes: int, *, projector_bytes: int = 0
) -> SizedModel:
    """`dimensions` of the catalog, None where nobody knows them; the size is that of all files."""
    if not dimensions or not dimensions.get("block_count"):
        shape = ModelShape.from_dimensions(_UNKNOWN)
        padded = size_bytes + int(size_bytes * UNKNOWN_SHARE)
        model = _filled(SizedModel.of_shape(shape), padded, projector_bytes, Shares())
        return replace(model, basis="guess", file_bytes=size_bytes, output_bytes=UNKNOWN_BYTES)
    model = SizedModel.of_shape(ModelShape.from_dimensions(_as_stored(dimensions)))
    return _filled(model, size_bytes, projector_bytes, shares_of(dimensions))


def _filled(model: SizedModel, size_bytes: int, projector_bytes: int, shares: Shares) -> SizedModel:
    weights = max(size_bytes - projector_bytes, 0)
    count = max(model.layer_count, 1)
    input_ = int(weights * shares.table)
    each = max(weights - (input_ if shares.tied else 2 * input_), 0) // count
    return replace(
        model,
        file_bytes=weights,
        input_bytes=input_,
        output_bytes=input_,
        output_ram_bytes=0 if shares.tied else input_,
        layer_bytes=(each,) * count,
        layer_ram_bytes=(each,) * count,
        expert_bytes=(min(int(weights * shares.experts) // count, each),) * count,
        largest_bytes=(int(weights * shares.largest) if shares.largest else each,) * count,
        projector_bytes=projector_bytes,
        remembered=Remembered(),
    )


def _as_stored(dimensions: Dimensions) -> Mapping[str, Any]:
    """What the cache really holds, where the catalog tells it in other words than a file does."""
    stored: dict[str, Any] = dict(dimensions)
    numbers = {key: value for key, value in dimensions.items() if isinstance(value, int)}
    rank, turned = numbers.get("kv_lora_rank"), numbers.get("rope_dimension_count")
    if rank and turned:
        stored |= {
            "attention.key_length_mla": numbers.get("key_length") or rank + turned,
            "rope.dimension_count": turned,
            "head_count_kv": 1,
            "key_length": rank + turned,
            "value_length": rank,
        }
        return stored
    count, heads = numbers["block_count"], numbers.get("head_count_kv", 0)
    sliding, period = numbers.get("head_count_kv_swa"), numbers.get("sliding_window_pattern")
    full = numbers.get("full_attention_layers")
    if sliding and period:
        stored["head_count_kv"] = [
            heads if nth % period == period - 1 else sliding for nth in range(count)
        ]
    elif full and heads and not {"sliding_window", "full_attention_interval"} & numbers.keys():
        # the others keep a state; which ones they are changes no sum
        stored["head_count_kv"] = [heads if nth < full else 0 for nth in range(count)]
        recurrent = numbers.get("recurrent_layers", 0)
        if str(dimensions.get("gguf_architecture")).startswith("nemotron_h"):
            forward = numbers.get("feed_forward_length", 0)
            stored["feed_forward_length"] = [
                0 if nth < full + recurrent else forward for nth in range(count)
            ]
    return stored
