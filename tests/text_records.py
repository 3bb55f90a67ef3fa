"""One record of each kind, for tests of what is made of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from modelwidgets.device_records import Devices, Gpu
from modelwidgets.records import (
    CatalogModel,
    CatalogTag,
    DeletePlan,
    DiskUsage,
    InstalledModel,
    ModelDetails,
    ModelInfo,
    PullProgress,
    ServiceStatus,
)

NOW = datetime(2026, 3, 1, 12, 3, 20, tzinfo=UTC)
GIB = 2**30
HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e\nsecond\x00"
HOSTILE_LINE = "<img src=x onerror=alert(1)>\\u202e second\\x00"

LLAMA = InstalledModel(
    name="llama3.2:3b",
    digest="a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
    size_bytes=2_019_393_189,
    modified_at=NOW - timedelta(hours=2),
    format="gguf",
    family="llama",
    families=("llama",),
    parameter_size="3.2B",
    parameters=3_212_749_888,
    quantization="Q4_K_M",
    max_context_length=131_072,
    embedding_length=3072,
    capabilities=("completion", "tools"),
    remote_model=None,
    remote_host=None,
)
CLOUD = replace(
    LLAMA,
    name="gpt-oss:120b-cloud",
    size_bytes=384,
    modified_at=None,
    parameters=None,
    parameter_size="116.8B",
    quantization="MXFP4",
    remote_model="gpt-oss:120b",
    remote_host="https://ollama.com",
)
SERVICE = ServiceStatus(
    state="running",
    reason=None,
    url="http://localhost:11434",
    version="0.33.0",
    kind="ollama",
    local=True,
    old=None,
    sample_registry=None,
    viewer="kernel on lab7",
    checked_at=NOW,
)
GPU = Gpu(
    index=0,
    name="NVIDIA GeForce RTX 4090",
    uuid=None,
    total_bytes=24 * GIB,
    free_bytes=int(6.1 * GIB),
    unified=False,
    error=None,
)
DEVICES = Devices(
    gpus=(GPU,),
    driver="580.65.06",
    reason=None,
    ram_total_bytes=64 * GIB,
    ram_available_bytes=48 * GIB,
)
DISK = DiskUsage(
    used_bytes=41_300_000_000,
    exact=True,
    partial_bytes=0,
    free_bytes=312_000_000_000,
    path="/models",
)
PULL = PullProgress(
    id="1",
    name="gemma3:12b",
    url="http://localhost:11434",
    state="running",
    phase="downloading",
    status="downloading",
    total_bytes=8_100_000_000,
    completed_bytes=4_700_000_000,
    bytes_per_second=58_000_000.0,
    eta_seconds=58.6,
    position=None,
    error=None,
    error_kind=None,
    digest=None,
    proof=None,
    plan=None,
    created_at=NOW,
    started_at=NOW,
    ended_at=None,
)
TAG = CatalogTag(
    tag="12b",
    name="gemma3:12b",
    size_bytes=8_149_190_253,
    size_exact=True,
    parameters="12.2B",
    quantization="Q4_K_M",
    context_length=131_072,
    digest=None,
    architecture=None,
    recommended=True,
)
GEMMA = CatalogModel(
    name="gemma3",
    description="Open multimodal models",
    publisher="Google",
    category="vision",
    categories=("vision", "chat"),
    capabilities=("vision",),
    license="Gemma",
    pulls=30_000_000,
    updated="2025-12",
    recommended_tag="12b",
    tags=(TAG,),
    custom=False,
    unchecked=False,
)
INFO = ModelInfo(
    name="llama3.2:3b",
    license="LLAMA 3.2 COMMUNITY LICENSE\n" + "word\n" * 30,
    modelfile="",
    parameters_text='stop    "<|eot_id|>"',
    template="{{ if .System }}\n  {{ .System }}\n{{ end }}",
    system="",
    format="gguf",
    family="llama",
    families=("llama", "clip"),
    parameter_size="3.2B",
    parameters=3_212_749_888,
    quantization="Q4_K_M",
    capabilities=("completion", "tools"),
    max_context_length=131_072,
    embedding_length=3072,
    requires="0.19.0",
    modified_at=NOW,
    remote_model=None,
    remote_host=None,
    model_info={},
    projector_info={},
    tensors=(),
)
DETAILS = ModelDetails(
    name="llama3.2:3b",
    installed=LLAMA,
    info=INFO,
    manifest=None,
    catalog=None,
    delete_plan=DeletePlan(
        name="llama3.2:3b",
        frees_bytes=2_000_000_000,
        exact=True,
        kept_bytes=19_000_000,
        shared_with=("mine:latest",),
        running=False,
    ),
)
