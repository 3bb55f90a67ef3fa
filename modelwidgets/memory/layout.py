"""Which device holds what: the question that a placement answers and an estimate starts from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelwidgets.memory.kv_cache import CacheOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a model is asked to run."""

    cache: CacheOptions
    output_rows: int = 1
    """Rows of logits that are reserved; servers since the middle of 2026 keep one a sequence."""

    @property
    def tokens(self) -> int:
        """Tokens that are computed at once: a whole number for each sequence."""
        per_sequence = -(-self.cache.micro_batch // self.cache.sequences)
        return per_sequence * self.cache.sequences

    @property
    def outputs(self) -> int:
        return min(self.output_rows, self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Devices by number, GPUs first; the number after the last GPU is the RAM."""

    gpu_count: int
    layers: tuple[int, ...]
    output: int
    moved: Mapping[int, tuple[re.Pattern[str], int]] = field(default_factory=dict)
    """Layers of which some tensors lie elsewhere: which, and where."""

    @property
    def ram(self) -> int:
        return self.gpu_count

    @property
    def gpu_layers(self) -> int:
        """As llama.cpp counts them, the output being the last."""
        return sum(device < self.ram for device in (*self.layers, self.output))

    @property
    def is_pipelined(self) -> bool:
        """Several GPUs and nothing in RAM: they work on several batches at once."""
        in_ram = self.output == self.ram or self.ram in self.layers
        return self.gpu_count > 1 and not in_ram and not self.moved

    def device(self, nth: int, name: str) -> int:
        """Where the tensor `name` of layer `nth` lies."""
        elsewhere = self.moved.get(nth)
        if elsewhere is not None and elsewhere[0].match(name):
            return elsewhere[1]
        return self.layers[nth]

    @classmethod
    def in_ram(cls, layer_count: int, *, gpu_count: int = 0) -> Layout:
        """Nothing on a GPU, whether there are any or not."""
        return cls(gpu_count=gpu_count, layers=(gpu_count,) * layer_count, output=gpu_count)

    @classmethod
    def split(cls, layer_count: int, gpu_layers: int, shares: tuple[float, ...]) -> Layout:
        """The last `gpu_layers` layers, the output included, over the GPUs by their shares."""
        ram = len(shares)
        count = min(max(gpu_layers, 0), layer_count + 1)
        first = layer_count + 1 - count
        total = sum(shares) or 1.0
        limits = []
        reached = 0.0
        for share in shares:
            reached += share
            limits.append(reached / total)
        devices = []
        for nth in range(layer_count + 1):
            if nth < first:
                devices.append(ram)
            else:
                part = (nth - first) / count
                devices.append(next((d for d, end in enumerate(limits) if part < end), ram - 1))
        return cls(gpu_count=ram, layers=tuple(devices[:-1]), output=devices[-1])
