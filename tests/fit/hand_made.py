"""Placements that the files of measurements lack: nothing on the GPU, nowhere at all, two GPUs.

The layers are what llama.cpp b11434 decided for these GPUs in a dry run of its `--fit`. That it
does not run at all is for us to say: llama.cpp takes RAM to be endless.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelwidgets.fit_records import Placement
from modelwidgets.memory.kv_cache import CacheOptions
from modelwidgets.memory.layout import RunOptions
from modelwidgets.memory.placement import GpuMemory, RamMemory, place
from tests.fit import rows
from tests.fit.rows import MIB

KINDS = ("cpu", "no", "partial on several GPUs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model on one machine, and where it has to go."""

    kind: str
    header: str
    context: int
    cache_type: str = "f16"
    free_mib: tuple[int, ...]
    ram_mib: int | None = None
    verdict: str
    layers_by_gpu: tuple[int, ...]

    def placed(self) -> Placement:
        return place(
            rows.model(rows.HEADERS, self.header),
            RunOptions(
                cache=CacheOptions(
                    context_tokens=self.context,
                    key_type=self.cache_type,
                    value_type=self.cache_type,
                )
            ),
            [GpuMemory(free_bytes=free * MIB) for free in self.free_mib],
            None if self.ram_mib is None else RamMemory(available_bytes=self.ram_mib * MIB),
        )

    def holds(self) -> bool:
        placed = self.placed()
        return (placed.verdict, placed.layers_by_gpu) == (self.verdict, self.layers_by_gpu)


def _cpu(header: str, context: int, free_mib: int) -> Case:
    return Case(
        kind="cpu",
        header=header,
        context=context,
        free_mib=(free_mib,),
        verdict="cpu",
        layers_by_gpu=(0,),
    )


def _no(header: str, context: int, free_mib: tuple[int, ...], ram_mib: int, layers: int) -> Case:
    return Case(
        kind="no",
        header=header,
        context=context,
        free_mib=free_mib,
        ram_mib=ram_mib,
        verdict="no",
        layers_by_gpu=(layers,) if free_mib else (),
    )


def _several(
    header: str,
    context: int,
    free_mib: tuple[int, ...],
    layers_by_gpu: tuple[int, ...],
    cache_type: str = "f16",
) -> Case:
    return Case(
        kind="partial on several GPUs",
        header=header,
        context=context,
        cache_type=cache_type,
        free_mib=free_mib,
        verdict="partial",
        layers_by_gpu=layers_by_gpu,
    )


CASES = (
    _cpu("llama3.1-8b-Q4_K_M", 4096, 1300),
    _cpu("codellama-34b-Q4_K_M", 16384, 1100),
    _cpu("mistral-nemo-12b-Q4_K_M", 8192, 1024),
    _cpu("qwen3-30b-a3b-Q4_K_M", 8192, 1200),
    _no("codellama-34b-Q4_K_M", 16384, (1100,), 16384, 0),
    _no("qwen3-30b-a3b-Q8_0", 8192, (), 24576, 0),
    _no("codellama-34b-Q4_K_M", 32768, (11900,), 4096, 20),
    _several("llama3.1-8b-F16", 8192, (5000, 5000), (8, 7)),
    _several("llama3.1-8b-F16", 8192, (4000, 9000), (6, 16)),
    _several("codellama-34b-Q4_K_M", 4096, (8000, 6000), (16, 11)),
    _several("gemma3-4b-Q8_0", 8192, (2100, 2000), (8, 3)),
    _several("qwen3-4b-Q4_K_M", 8192, (1500, 1200), (1, 0)),
    _several("codellama-34b-Q4_K_M", 16384, (7000, 7000, 5000), (13, 13, 9), "q8_0"),
)
