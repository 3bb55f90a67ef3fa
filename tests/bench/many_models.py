"""Long lists for the views, as their sources write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from itables import options, to_html_datatable
from itables.javascript import generate_init_offline_itables_html

from modelwidgets.device_records import Devices, Gpu
from modelwidgets.fit_records import (
    FitCard,
    FitReport,
    FitStop,
    FitStops,
    MemoryPart,
    MemoryTerm,
)
from modelwidgets.plain_json import as_json
from modelwidgets.records import CatalogModel, CatalogSlice, CatalogTag, InstalledSlice
from modelwidgets.stores import answers

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
QUANTIZATIONS = ("Q4_K_M", "Q8_0", "F16", "IQ3_XS")
SERVICE = {
    "state": "running",
    "url": "http://localhost:11434",
    "version": "0.33.0",
    "kind": "ollama",
    "local": True,
    "viewer": "bench",
    "checked_at": NOW,
} | dict.fromkeys(("reason", "old", "sample_registry"))
PULL = {
    "id": "pull-0",
    "url": "http://localhost:11434",
    "state": "running",
    "phase": "downloading",
    "status": "pulling",
    "total_bytes": 1_000_000_000,
    "completed_bytes": 0,
    "bytes_per_second": 1e6,
    "eta_seconds": 60,
    "created_at": NOW,
    "started_at": NOW,
} | dict.fromkeys(("position", "error", "error_kind", "digest", "proof", "plan", "ended_at"))
SIZES = ("1B", "3B", "8B", "14B", "70B")


def tags_answer(count: int) -> bytes:
    """What `/api/tags` says of so many models."""
    return json.dumps({"models": [_listed(number) for number in range(count)]}).encode()


def installed_message(answer: bytes) -> dict[str, Any]:
    """The message of the installed models that pages get for such an answer."""
    models = tuple(answers.installed_models(answers.decode_object(answer)))
    value = InstalledSlice(models=models, as_of=NOW, stale=None, deleting=())
    return _slice("installed", value)


def other_messages(families: int) -> list[dict[str, Any]]:
    """The other slices of a server that runs, with a catalog and one pull."""
    models = tuple(_family(number) for number in range(families))
    return [
        _slice("service", SERVICE),
        _slice("catalog", CatalogSlice(as_of="2026-11-21", models=models, problems=())),
        _slice("pulls", [PULL | {"name": _most_popular(models)}]),
        *(_slice(name, []) for name in ("running", "notices")),
    ]


def fit_card(name: str) -> dict[str, Any]:
    """The answer for the card of a model on two GPUs, with 108 settings."""
    contexts = tuple(2**power for power in range(11, 23))
    gpu = Gpu(
        index=0,
        name="NVIDIA GeForce RTX 4090",
        uuid=None,
        total_bytes=24 << 30,
        free_bytes=20 << 30,
        unified=False,
        error=None,
    )
    devices = Devices(
        gpus=(gpu, replace(gpu, index=1)),
        driver=None,
        reason=None,
        ram_total_bytes=64 << 30,
        ram_available_bytes=40 << 30,
    )
    stops = [
        _stop(context * parallel, share)
        for share in (1.0, 0.53, 0.28)
        for parallel in (1, 2, 4)
        for context in contexts
    ]
    terms = tuple(
        MemoryTerm(part=part, gpu=on, size_bytes=size, basis="header")
        for part, on, size in stops[4].terms
    )
    report = FitReport(
        name=name,
        verdict="full",
        context_length=contexts[4],
        kv_cache_type="f16",
        num_parallel=1,
        num_batch=512,
        terms=terms,
        total_bytes=stops[4].total_bytes,
        least_bytes=stops[4].total_bytes,
        most_bytes=stops[4].total_bytes,
        basis="header",
        known_architecture=True,
        gpu_layers=33,
        layer_count=33,
        experts_in_ram=0,
        devices=devices,
        users=(),
        suggestions=(),
        recommended_gpu=None,
        download_bytes=None,
        installed=True,
        notes=(),
    )
    table = FitStops(
        context_lengths=contexts,
        kv_cache_types=("f16", "q8_0", "q4_0"),
        num_parallels=(1, 2, 4),
        results=tuple(stops),
    )
    card: dict[str, Any] = as_json(FitCard(report=report, stops=table, check=None))
    return card


def _stop(tokens: int, share: float) -> FitStop:
    sizes: dict[MemoryPart, int] = {
        "weights": 8 << 30,
        "kv_cache": int(tokens * 65_536 * share),
        "compute": 300 << 20,
        "overhead": 450 << 20,
    }
    terms = tuple((part, on, size) for on in (0, 1, None) for part, size in sizes.items())
    return FitStop(
        verdict="full" if tokens < 2**18 else "partial",
        gpu_layers=33,
        experts_in_ram=0,
        total_bytes=3 * sum(sizes.values()),
        ram_bytes=sum(sizes.values()),
        terms=terms,
    )


def as_itable(families: int, height_px: int) -> str:
    """The catalog as itables draws it: all rows in a window that scrolls, without a network."""
    models = [_family(number) for number in range(families)]
    frame = pd.DataFrame(
        {
            "model": [model.name for model in models],
            "description": [model.description for model in models],
            "sizes": [" ".join(SIZES[: len(model.tags)]) for model in models],
            "download": [model.tags[0].size_bytes for model in models],
            "popularity": [model.pulls for model in models],
            "updated": [model.updated for model in models],
        }
    )
    table = to_html_datatable(
        frame, paging=False, scrollY=f"{height_px}px", maxBytes=0, connected=False
    )
    return generate_init_offline_itables_html(options.dt_bundle) + table


def _listed(number: int) -> dict[str, Any]:
    name = f"model-{number}:{SIZES[number % 5].lower()}"
    return {
        "name": name,
        "model": name,
        "modified_at": f"2026-{number % 11 + 1:02}-{number % 27 + 1:02}T10:{number % 60:02}:00.1Z",
        "size": (number * 7919 % 1000 + 1) * 10_000_000,
        "digest": f"{number:064x}",
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": SIZES[number % 5],
            "quantization_level": QUANTIZATIONS[number % 4],
            "context_length": 131072,
            "embedding_length": 4096,
        },
        "capabilities": ["completion", "tools"],
    }


def _family(number: int) -> CatalogModel:
    name = f"model-{number}"
    return CatalogModel(
        name=name,
        description=f"The {number}th of many, good for what such models are good for, and more",
        publisher=f"Publisher {number % 40}",
        category=("chat", "code", "vision")[number % 3],
        categories=(("chat", "code", "vision")[number % 3],),
        capabilities=("tools", "vision")[: number % 3],
        license="apache-2.0",
        pulls=number * 7919 % 1_000_003,
        updated=f"2026-{number % 11 + 1:02}",
        recommended_tag="8b",
        tags=tuple(_tag(name, number, size) for size in SIZES[: number % 4 + 1]),
        custom=False,
        unchecked=False,
    )


def _tag(family: str, number: int, size: str) -> CatalogTag:
    return CatalogTag(
        tag=size.lower(),
        name=f"{family}:{size.lower()}",
        size_bytes=(number * 31 % 900 + 1) * 10_000_000,
        size_exact=True,
        parameters=size,
        quantization=QUANTIZATIONS[number % 4],
        context_length=131072,
        digest=f"{number:012x}",
        architecture="llama",
        recommended=size == "8B",
    )


def _most_popular(models: Sequence[CatalogModel]) -> str:
    """The first tag of the family in the first row."""
    most = max(models, key=lambda model: model.pulls or 0, default=None)
    return "none:latest" if most is None else most.tags[0].name


def _slice(name: str, value: Any) -> dict[str, Any]:
    return {"op": "slice", "name": name, "rev": 1, "value": as_json(value)}
