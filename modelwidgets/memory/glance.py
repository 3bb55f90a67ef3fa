"""A first verdict on many models at once, from the catalog's dimensions and the download's size.

No tensor is known here, so layers count as equal, compute buffers come from the formula and several
GPUs as the sum of what each can take. What depends on the dimensions alone is worked out once for
each architecture; a verdict is then a few sums. The header of the file gives the exact answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from modelwidgets.fit_records import FitGlance, FitVerdict
from modelwidgets.memory import formula
from modelwidgets.memory.kv_cache import layer_bytes, row_bytes, sequence_cells, streams
from modelwidgets.memory.layout import Layout, RunOptions
from modelwidgets.memory.placement import GpuMemory, RamMemory
from modelwidgets.memory.shape import ModelShape
from modelwidgets.memory.sized_model import SizedModel

Dimensions = Mapping[str, int | str]

UNKNOWN_SHARE = 0.1
UNKNOWN_BYTES = 512 << 20
"""What a model of unknown dimensions needs beside its weights."""
_VALUES_OF_A_ROW = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What the dimensions alone decide."""

    layer_count: int
    cache_bytes: int
    compute_bytes: int
    ram_compute_bytes: int
    shares: Shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Of the weights of a download, the part that each of these is."""

    table: float = 0.0
    """Of the input, which stays in RAM."""
    tied: bool = False
    """The output is that table too."""
    experts: float = 0.0
    largest: float = 0.0
    """The largest tensor, which a GPU copies where it lies in RAM."""


class Glance:
    """Verdicts for one way to run on one set of devices; architectures are remembered."""

    def __init__(
        self, run: RunOptions, gpus: Sequence[GpuMemory], ram: RamMemory | None = None
    ) -> None:
        self._run = run
        self._gpus = tuple(gpus)
        self._room = sum(max(gpu.free_bytes - gpu.margin_bytes, 0) for gpu in gpus)
        self._ram = ram
        self._pooled = any(gpu.shared_bytes is not None for gpu in gpus)
        self._parts: dict[int, tuple[Dimensions, _Parts]] = {}

    def verdict(self, dimensions: Dimensions | None, size_bytes: int) -> FitGlance:
        """Where a download of `size_bytes` would go; `dimensions` None where nobody knows them."""
        if not dimensions or not dimensions.get("block_count"):
            return self._by_size(size_bytes)
        found = self._parts.get(id(dimensions))
        if found is None or found[0] is not dimensions:
            found = (dimensions, _parts(dimensions, self._run, len(self._gpus)))
            self._parts[id(dimensions)] = found
        return self._by_parts(found[1], size_bytes)

    def _by_size(self, size_bytes: int) -> FitGlance:
        needed = int(size_bytes * (1 + UNKNOWN_SHARE)) + UNKNOWN_BYTES
        verdict: FitVerdict = "cpu"
        if self._gpus and needed <= self._room:
            verdict = "full"
        elif self._room > needed // 8:
            verdict = "partial"
        return self._answer(verdict, needed, needed - self._room if self._gpus else needed, None)

    def _by_parts(self, parts: _Parts, size_bytes: int) -> FitGlance:
        table = int(size_bytes * parts.shares.table)
        weights = size_bytes if parts.shares.tied else size_bytes - table
        compute = parts.compute_bytes * max(len(self._gpus), 1)
        needed = weights + parts.cache_bytes + compute
        in_ram = table + parts.ram_compute_bytes
        layers = parts.layer_count + 1
        if self._gpus and needed <= self._room:
            return self._answer("full", needed + in_ram, in_ram, layers)
        whole = needed + table
        copied = int(size_bytes * parts.shares.largest)
        experts = int(size_bytes * parts.shares.experts)
        if not self._gpus:
            return self._answer("cpu", whole, whole, 0)
        if experts and needed - experts + copied <= self._room:
            rest = in_ram + needed + copied - self._room
            return self._answer("moe-partial", whole, rest, layers)
        each = (weights + parts.cache_bytes) / layers
        fitting = int((self._room - compute - copied) / each) if each else 0
        if fitting < 1:
            return self._answer("cpu", whole, whole, 0)
        fitting = min(fitting, layers - 1)
        return self._answer("partial", whole, whole - int(each * fitting), fitting)

    def _answer(
        self, verdict: FitVerdict, needed: int, in_ram: int, layers: int | None
    ) -> FitGlance:
        if self._ram is not None and not self._ram.holds(needed if self._pooled else in_ram):
            verdict = "no"
        return FitGlance(verdict=verdict, needed_bytes=needed, gpu_layers=layers)


def _parts(dimensions: Dimensions, run: RunOptions, gpu_count: int) -> _Parts:
    shape, _ = _shape(tuple(dimensions.items()))
    count = shape.layer_count
    empty = SizedModel.of_shape(shape)
    layout = Layout(gpu_count=gpu_count, layers=(0,) * count, output=0)
    gpus, ram = formula.compute_bytes(empty, layout, run)
    return _Parts(
        layer_count=count,
        cache_bytes=_cache_bytes(shape, dimensions, run),
        compute_bytes=max(gpus, default=0),
        ram_compute_bytes=ram,
        shares=shares_of(dimensions),
    )


def shares_of(dimensions: Dimensions) -> Shares:
    shape, params = _shape(tuple(dimensions.items()))
    table = shape.vocabulary * shape.embedding_length
    stated = dimensions.get("parameter_count")
    total = stated if isinstance(stated, int) and stated > params.layers else 0
    weights = total or params.layers + 2 * table
    return Shares(
        table=min(table / weights, 1.0) if weights else 0.0,
        tied=0 < total < params.layers + table * 3 // 2,
        experts=params.experts / weights if weights else 0.0,
        largest=params.largest / weights if weights else 0.0,
    )


def shape_of(dimensions: Dimensions) -> ModelShape:
    """The dimensions as an estimate takes them; read once for each architecture."""
    return _shape(tuple(dimensions.items()))[0]


@lru_cache(maxsize=1024)
def _shape(dimensions: tuple[tuple[str, int | str], ...]) -> tuple[ModelShape, _Parameters]:
    shape = ModelShape.from_dimensions(dict(dimensions))
    return shape, _parameters(shape)


def _cache_bytes(shape: ModelShape, dimensions: Dimensions, run: RunOptions) -> int:
    """By the layers, or by the catalog's sum where it knows which layers store what."""
    stated = dimensions.get("kv_bytes_per_token_f16")
    by_sum = "full_attention_layers" in dimensions and "sliding_window" not in dimensions
    if isinstance(stated, int) and (by_sum or (shape.kv_lora_rank and not shape.mla_key_length)):
        bytes_of_row = row_bytes(run.cache.key_type, _VALUES_OF_A_ROW)
        factor = bytes_of_row / row_bytes("f16", _VALUES_OF_A_ROW)
        return int(stated * factor * sequence_cells(run.cache) * streams(run.cache))
    return sum(count * layer_bytes(shape, layer, run.cache) for layer, count in shape.kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parameters:
    layers: int
    experts: int
    largest: int


def _parameters(shape: ModelShape) -> _Parameters:
    """How many weights the layers hold, which share of them experts are, and the largest tensor."""
    size = shape.embedding_length
    total = experts = largest = 0
    for layer, count in shape.kinds:
        attention = size * layer.heads * layer.key_length + layer.heads * layer.value_length * size
        attention += size * layer.kv_heads * (layer.key_length + layer.value_length)
        width = shape.expert_feed_forward_length or layer.feed_forward_length
        if shape.expert_count:
            one = size * width * shape.expert_count
            experts += 3 * one * count
            total += 3 * count * (one + size * shape.shared_feed_forward_length)
        else:
            one = size * layer.feed_forward_length
            total += 3 * count * one
        largest = max(largest, one)
        total += count * attention
    return _Parameters(layers=total, experts=experts, largest=largest)
