"""Rows of measurements and placements, in the terms of the estimate.

Columns: `n_gpu_layers` 999 means all, `n_outputs` 0 the whole batch, lists have an entry for each
GPU separated by `;`, sizes are MiB.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from modelwidgets.gguf import read_header
from modelwidgets.memory.kv_cache import CacheOptions
from modelwidgets.memory.layout import Layout, RunOptions
from modelwidgets.memory.placement import GpuMemory
from modelwidgets.memory.sized_model import SizedModel

DATA = Path(__file__).parent / "data"
MEASUREMENTS = DATA / "measurements.csv"
PLACEMENTS = DATA / "placements.csv"
HEADERS = DATA / "headers"
MIB = 1 << 20
ALL = 999
_WHOLE_BATCH = 1 << 30
DIMENSIONS: dict[str, dict[str, int | str]] = {
    "llama3.1-8b-Q4_K_M": {
        "gguf_architecture": "llama",
        "parameter_count": 8030261248,
        "block_count": 32,
        "embedding_length": 4096,
        "feed_forward_length": 14336,
        "head_count": 32,
        "head_count_kv": 8,
        "key_length": 128,
        "value_length": 128,
        "vocab_size": 128256,
    },
    "gemma3-4b-Q8_0": {
        "gguf_architecture": "gemma3",
        "parameter_count": 3880099328,
        "block_count": 34,
        "embedding_length": 2560,
        "feed_forward_length": 10240,
        "head_count": 8,
        "head_count_kv": 4,
        "key_length": 256,
        "value_length": 256,
        "vocab_size": 262144,
        "sliding_window": 1024,
        "sliding_window_pattern": 6,
    },
    "qwen3-30b-a3b-Q4_K_M": {
        "gguf_architecture": "qwen3moe",
        "parameter_count": 30532122624,
        "block_count": 48,
        "embedding_length": 2048,
        "feed_forward_length": 6144,
        "head_count": 32,
        "head_count_kv": 4,
        "key_length": 128,
        "value_length": 128,
        "vocab_size": 151936,
        "expert_count": 128,
        "expert_used_count": 8,
        "expert_feed_forward_length": 768,
    },
}
"""What the catalog says of models whose headers lie here, by the names of these."""

Row = dict[str, str]


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def model(headers: Path, name: str) -> SizedModel:
    """The model whose header lies under `name`, with or without a suffix."""
    path = next(path for path in headers.iterdir() if name in (path.name, path.stem))
    return SizedModel.from_header(read_header(path))


def run_of(row: Row) -> RunOptions:
    context = int(row["n_ctx"])
    batch = min(int(row.get("n_batch") or context), int(row["n_ubatch"]), context)
    return RunOptions(
        cache=CacheOptions(
            context_tokens=context,
            sequences=int(row["n_parallel"] or 1),
            unified=row.get("kv_unified") == "1",
            key_type=row["type_k"] or "f16",
            value_type=row["type_v"] or "f16",
            flash_attention=row["flash_attn"] == "on",
            micro_batch=batch,
        ),
        output_rows=int(row["n_outputs"] or 1) or _WHOLE_BATCH,
    )


def layout_of(row: Row, layer_count: int) -> Layout:
    gpus = int(row["n_gpu"] or 0)
    if gpus == 0:
        return Layout.in_ram(layer_count)
    shares = tuple(float(share) for share in row["tensor_split"].split(",") if share)
    return Layout.split(layer_count, gpu_layers(row), shares or (1.0,) * gpus)


def gpu_layers(row: Row) -> int:
    """A published row says `37/37` or `full`."""
    text = row["n_gpu_layers"]
    if "/" in text:
        return int(text.split("/")[0])
    return int(text) if text.isdecimal() else ALL


def gpus_of(row: Row) -> list[GpuMemory]:
    margin = int(row["margin_mib"]) * MIB
    return [
        GpuMemory(free_bytes=int(float(free) * MIB), margin_bytes=margin)
        for free in row["gpu_free_mib"].split(";")
    ]


def numbers(row: Row, column: str) -> list[float]:
    return [float(entry) for entry in row[column].split(";") if entry]


def pairs(row: Row, column: str, estimated: list[int]) -> Iterator[tuple[float, float]]:
    """Estimate and measurement in MiB, for each GPU."""
    measured = numbers(row, column)
    if len(measured) != len(estimated):
        raise ValueError(f"{row['id']} has {len(measured)} entries in {column}")
    yield from zip((size / MIB for size in estimated), measured, strict=True)
