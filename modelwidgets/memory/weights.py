"""Bytes of the weights, tensor by tensor, and which layer each belongs to.

Source: ggml-org/llama.cpp, build b11434: `src/llama-model-loader.cpp` (what goes with the input,
the output, a layer), `ggml/src/ggml-cuda/ggml-cuda.cu` (padding of quantized rows),
`ggml/src/ggml-alloc.c` (alignment of each tensor in a buffer).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from modelwidgets.gguf import TENSOR_TYPES, GgufHeader, GgufTensor
from modelwidgets.memory.shape import ENCODERS

GPU_ALIGNMENT = 128
RAM_ALIGNMENT = 32
_ROW_ELEMENTS = 512
_KINDS = {kind.name: kind for kind in TENSOR_TYPES.values()}
_BLOCK = re.compile(r"blk\.(\d{1,4})\.(.+)")
_INPUTS = frozenset(
    (
        "token_embd.weight",
        "per_layer_token_embd.weight",
        "position_embd.weight",
        "token_types.weight",
    )
)
"""They stay in RAM whatever else goes to a GPU."""
_FIRST_LAYER = ("token_embd_norm.", "per_layer_model_proj.", "per_layer_proj_norm.")
"""Steps before the first layer that run where it lies."""
_OUTPUT_BY_THAT_NAME = {"lfm2": "token_embd_norm.weight", "lfm2moe": "token_embd_norm.weight"}
_WITHOUT_OUTPUT = ENCODERS - {"dream", "llada", "llada-moe", "rnd1"}
"""They give vectors, not tokens."""
_BESIDE = ("v.", "mm.", "a.")
"""Tensors of a projector inside the same file."""
EXPERTS = re.compile(r"ffn_(up|down|gate_up|gate)_(ch|)exps")
FEED_FORWARD = re.compile(r"ffn_(gate|up|gate_up|down).*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One tensor."""

    shape: tuple[int, ...]
    bytes_: int
    padding_bytes: int
    """What a GPU adds to quantized rows of an odd width."""

    @property
    def gpu_bytes(self) -> int:
        return -(-(self.bytes_ + self.padding_bytes) // GPU_ALIGNMENT) * GPU_ALIGNMENT

    @property
    def ram_bytes(self) -> int:
        return -(-self.bytes_ // RAM_ALIGNMENT) * RAM_ALIGNMENT


Weights = Mapping[str, Weight]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWeights:
    """All tensors of a model, by where they belong."""

    input: Weights
    layers: tuple[Weights, ...]
    output: Weights
    shared: Weights
    """Small tensors that every device with a layer holds, such as frequencies of the rotation."""
    projector: Weights
    tied: bool
    """The output is the table of the input, held a second time."""

    @property
    def kinds(self) -> tuple[int, ...]:
        """A number for each layer; equal numbers mean tensors of equal names, shapes and sizes."""
        numbers: dict[tuple[tuple[str, Weight], ...], int] = {}
        return tuple(
            numbers.setdefault(tuple(sorted(layer.items(), key=lambda item: item[0])), len(numbers))
            for layer in self.layers
        )

    @property
    def file_bytes(self) -> int:
        parts = (self.input, *self.layers, self.output, self.shared)
        total = sum(weight.bytes_ for part in parts for weight in part.values())
        return total - (self.output["output.weight"].bytes_ if self.tied else 0)

    @classmethod
    def from_header(cls, header: GgufHeader, *, layer_count: int) -> ModelWeights:
        """Sort the tensors of a file; blocks past `layer_count` are not loaded."""
        input_: dict[str, Weight] = {}
        layers: list[dict[str, Weight]] = [{} for _ in range(layer_count)]
        output: dict[str, Weight] = {}
        shared: dict[str, Weight] = {}
        projector: dict[str, Weight] = {}
        output_norm = _OUTPUT_BY_THAT_NAME.get(header.architecture)
        gaps = _gaps(header.tensors)
        for tensor in header.tensors:
            weight = _weight(tensor, gaps)
            name = tensor.name
            block = _BLOCK.fullmatch(name)
            if block is not None:
                nth = int(block[1])
                if nth < layer_count:
                    layers[nth][block[2]] = weight
            elif name == output_norm:
                output[name] = weight
            elif name.startswith(_FIRST_LAYER) and layers:
                layers[0][name] = weight
            elif name in _INPUTS:
                input_[name] = weight
            elif name.startswith(("rope_freqs.", "rope_factors_")):
                shared[name] = weight
            elif name.startswith(_BESIDE):
                projector[name] = weight
            else:
                output[name] = weight
        table = input_.get("token_embd.weight")
        tied = (
            "output.weight" not in output
            and table is not None
            and bool(layers)
            and header.architecture not in _WITHOUT_OUTPUT
        )
        if tied and table is not None:
            output["output.weight"] = table
        return cls(
            input=input_,
            layers=tuple(layers),
            output=output,
            shared=shared,
            projector=projector,
            tied=tied,
        )


def gpu_bytes(weights: Iterable[Weight]) -> int:
    return sum(weight.gpu_bytes for weight in weights)


def ram_bytes(weights: Iterable[Weight]) -> int:
    return sum(weight.ram_bytes for weight in weights)


def _gaps(tensors: tuple[GgufTensor, ...]) -> dict[int, int]:
    """Bytes up to the next tensor: the size of one whose type is not known here."""
    offsets = sorted({tensor.offset for tensor in tensors})
    return {start: end - start for start, end in pairwise(offsets)}


def _weight(tensor: GgufTensor, gaps: Mapping[int, int]) -> Weight:
    size = tensor.size_bytes
    kind = _KINDS.get(tensor.type)
    if size is None or kind is None:
        return Weight(shape=tensor.shape, bytes_=gaps.get(tensor.offset, 0), padding_bytes=0)
    quantized = kind.block_elements > 1 and tensor.shape
    missing = -tensor.shape[0] % _ROW_ELEMENTS if quantized else 0
    padding = missing // kind.block_elements * kind.block_bytes
    return Weight(shape=tensor.shape, bytes_=size, padding_bytes=padding)
