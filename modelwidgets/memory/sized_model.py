"""A model with the size of each of its parts: what an estimate and a placement work on.

From the header of its file every size is exact. From the catalog's dimensions and the size of the
download the layers share what the input and output leave, which is right to a few per cent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from modelwidgets.gguf import GgufHeader
from modelwidgets.memory.remembered import Remembered
from modelwidgets.memory.shape import ModelShape
from modelwidgets.memory.weights import (
    EXPERTS,
    ModelWeights,
    Weights,
    gpu_bytes,
    ram_bytes,
)

_TABLE_TWICE = frozenset(("gemma3n", "gemma4"))
"""They hold a tied table twice even where both lie in RAM."""
Basis = Literal["header", "manifest", "catalog", "guess"]


@dataclass(kw_only=True)
class SizedModel:
    """Sizes of one model; compute buffers once found are remembered with it."""

    shape: ModelShape
    weights: ModelWeights | None
    """None: only the sizes below are known, not the tensors."""
    basis: Basis
    file_bytes: int
    input_bytes: int
    output_bytes: int
    shared_bytes: int
    output_ram_bytes: int
    """The output where it lies in RAM; a tied one is the table of the input, held once."""
    layer_bytes: tuple[int, ...]
    """On a GPU."""
    layer_ram_bytes: tuple[int, ...]
    expert_bytes: tuple[int, ...]
    """The part of each layer that experts are."""
    largest_bytes: tuple[int, ...]
    """The largest tensor of each layer."""
    kinds: tuple[int, ...]
    """Equal numbers for equal layers."""
    projector_bytes: int = 0
    adapter_bytes: int = 0
    remembered: Remembered = field(default_factory=Remembered, repr=False)

    @property
    def layer_count(self) -> int:
        return len(self.layer_bytes)

    @classmethod
    def from_header(
        cls, header: GgufHeader, *, projector_bytes: int = 0, adapter_bytes: int = 0
    ) -> SizedModel:
        """Exact sizes; a projector or an adapter lies in files of its own."""
        shape = ModelShape.from_header(header)
        weights = ModelWeights.from_header(header, layer_count=shape.layer_count)
        shapes: dict[tuple[int, int], int] = {}
        kinds = tuple(
            shapes.setdefault((kind, id(layer)), len(shapes))
            for kind, layer in zip(weights.kinds, shape.layers, strict=True)
        )
        beside = sum(weight.bytes_ for weight in weights.projector.values())
        return cls(
            shape=shape,
            weights=weights,
            basis="header",
            file_bytes=weights.file_bytes + beside,
            input_bytes=ram_bytes(weights.input.values()),
            output_bytes=gpu_bytes(weights.output.values()),
            output_ram_bytes=ram_bytes(
                weight
                for name, weight in weights.output.items()
                if not (weights.tied and name == "output.weight")
                or shape.architecture in _TABLE_TWICE
            ),
            shared_bytes=gpu_bytes(weights.shared.values()),
            layer_bytes=tuple(gpu_bytes(layer.values()) for layer in weights.layers),
            layer_ram_bytes=tuple(ram_bytes(layer.values()) for layer in weights.layers),
            expert_bytes=tuple(_expert_bytes(layer) for layer in weights.layers),
            largest_bytes=tuple(
                max((weight.gpu_bytes for weight in layer.values()), default=0)
                for layer in weights.layers
            ),
            kinds=kinds,
            projector_bytes=projector_bytes + beside,
            adapter_bytes=adapter_bytes,
        )

    @classmethod
    def of_shape(cls, shape: ModelShape) -> SizedModel:
        """Dimensions without any weights, for what they decide alone."""
        none = (0,) * shape.layer_count
        return cls(
            shape=shape,
            weights=None,
            basis="catalog",
            file_bytes=0,
            input_bytes=0,
            output_bytes=0,
            output_ram_bytes=0,
            shared_bytes=0,
            layer_bytes=none,
            layer_ram_bytes=none,
            expert_bytes=none,
            largest_bytes=none,
            kinds=none,
        )


def _expert_bytes(layer: Weights) -> int:
    return gpu_bytes(weight for name, weight in layer.items() if EXPERTS.match(name))
