"""What Ollama asks llama.cpp for when nobody says: context, batch, GPUs, parallel requests.

Ollama decides these before llama.cpp lays anything out, by an estimate of its own: the file, and
keys and values as if every layer kept the whole context. For sliding windows and compressed caches
that is far too much, so a model may be spread over two GPUs though one would hold it. The same
estimate is made here, because the point is to say what Ollama will do.

Source: ollama/ollama of 2026-08: `server/routes.go` (context by memory), `server/sched.go` (batch,
GPUs, parallel requests), `llm/llama_server.go` (`PredictServerVRAM`, projector, flash attention).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelwidgets.fit_records import Placement
from modelwidgets.memory.estimate import PROJECTOR_WORK_BYTES
from modelwidgets.memory.kv_cache import CacheOptions
from modelwidgets.memory.layout import RunOptions
from modelwidgets.memory.placement import MARGIN_BYTES, GpuMemory, RamMemory, place
from modelwidgets.memory.sized_model import SizedModel

_GIB = 1 << 30
_MIB = 1 << 20
ONE_REQUEST = frozenset(
    (
        "mllama",
        "qwen3vl",
        "qwen3vlmoe",
        "qwen35",
        "qwen35moe",
        "qwen3next",
        "lfm2",
        "lfm2moe",
        "nemotron_h",
        "nemotron_h_moe",
        "nemotron_h_omni",
    )
)
"""Families that answer one request at a time, whatever `OLLAMA_NUM_PARALLEL` says."""
_CONTEXT_BY_MEMORY = ((47 * _GIB, 262144), (23 * _GIB, 32768))
_SMALLEST_CONTEXT = 4096
_NEXT_CONTEXTS = (32768, 4096)
_BATCHES = (2048, 1024, 512)
_SURCHARGES = {2048: 2 * _GIB, 1024: 768 * _MIB, 512: 0}
_HEADROOMS = {2048: 60, 1024: 75, 512: 100}
"""Per cent of the free memory up to which a batch is chosen."""
_USABLE = 80
_SMALL_GPU = 8 * _GIB
_EMBEDDING_BATCH = 2048
_F16_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaGpu:
    """One GPU as Ollama sees it before it starts an engine."""

    free_bytes: int
    total_bytes: int
    context_bytes: int = 0
    """What the engine's own context on it will take."""
    library: str = "CUDA"
    integrated: bool = False
    flash_attention: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaModel:
    """A model as Ollama sees it before it starts an engine."""

    architecture: str
    longest_context: int | None
    """For which it was made."""
    token_bytes: int
    """Keys and values of a token, as Ollama counts them."""
    file_bytes: int
    projector_bytes: int = 0

    @classmethod
    def of(cls, model: SizedModel) -> OllamaModel:
        """With f16 keys and values of equal width in every layer."""
        shape, width = model.shape, 0
        if shape.layers:
            heads = max([layer.heads for layer, _ in shape.kinds])
            kv_heads = min([layer.kv_heads for layer, _ in shape.kinds]) or 1
            head_width = shape.embedding_length // heads if heads else 0
            width = (len(shape.layers) + shape.next_token_layers) * kv_heads * head_width
        return cls(
            architecture=shape.architecture,
            longest_context=shape.context_length,
            token_bytes=2 * width * _F16_BYTES,
            file_bytes=model.file_bytes,
            projector_bytes=model.projector_bytes,
        )

    def predicted_bytes(self, context_tokens: int) -> int:
        """Ollama's estimate: the file, and keys and values."""
        return self.file_bytes + self.token_bytes * context_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaRequest:
    """What a user or the server's environment sets; None leaves it to Ollama."""

    context_length: int | None = None
    cache_type: str | None = None
    num_parallel: int = 1
    num_batch: int | None = None
    num_gpu: int | None = None
    flash_attention: bool | None = None
    spread: bool = False
    gpu_overhead_bytes: int = 0
    completion: bool = True
    """False for embedding models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaChoice:
    """What Ollama makes of a request, before llama.cpp places anything."""

    context_length: int
    """Of one request."""
    num_parallel: int
    num_batch: int
    flash_attention: bool
    predicted_bytes: int
    """Ollama's own estimate, by which it chooses GPUs."""
    gpus: tuple[int, ...]
    """Numbers of the GPUs that the engine may use."""
    margin_bytes: int
    """What is to stay free on each of these."""
    projector_gpu: int | None
    """None: a projector lies in RAM."""

    def run(self, cache_type: str) -> RunOptions:
        """The same in llama.cpp's terms."""
        tokens = self.context_length * self.num_parallel
        return RunOptions(
            cache=CacheOptions(
                context_tokens=tokens,
                sequences=self.num_parallel,
                key_type=cache_type,
                value_type=cache_type,
                flash_attention=self.flash_attention,
                micro_batch=min(self.num_batch, tokens),
            ),
            output_rows=self.num_parallel,
        )

    def memory(self, gpus: Sequence[OllamaGpu]) -> list[GpuMemory]:
        """Its GPUs, of these, as the engine finds them."""
        return [
            GpuMemory(
                free_bytes=max(gpu.free_bytes - gpu.context_bytes, 0),
                margin_bytes=self.margin_bytes,
                shared_bytes=gpu.context_bytes if gpu.integrated else None,
            )
            for gpu in (gpus[nth] for nth in self.gpus)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaRun:
    """What Ollama makes of a request, and where llama.cpp then puts the model."""

    context_length: int
    """Of one request."""
    num_parallel: int
    num_batch: int
    flash_attention: bool
    predicted_bytes: int
    """Ollama's own estimate, by which it chooses GPUs."""
    run: RunOptions
    placement: Placement


def default_context(gpus: Sequence[OllamaGpu], overhead_bytes: int = 0) -> int:
    """By the memory that all GPUs have, not by what is free."""
    total = sum(gpu.total_bytes - overhead_bytes for gpu in gpus)
    for needed, context in _CONTEXT_BY_MEMORY:
        if total >= needed:
            return context
    return _SMALLEST_CONTEXT


def next_lower_context(context: int) -> int | None:
    """What Ollama tries next when a context of its own choice does not load."""
    return next((lower for lower in _NEXT_CONTEXTS if context > lower), None)


def batch_size(
    context_tokens: int, predicted: int, gpus: Sequence[OllamaGpu], *, flash_attention: bool
) -> int:
    """Tokens computed at once: more for long contexts, as far as there is room."""
    if not flash_attention and any(gpu.library == "CUDA" for gpu in gpus):
        small = any(
            gpu.library == "CUDA" and 0 < min(gpu.free_bytes, gpu.total_bytes) <= _SMALL_GPU
            for gpu in gpus
        )
        return 256 if small and context_tokens > _SMALLEST_CONTEXT else 512
    wanted = 2048 if context_tokens > 32768 else 1024 if context_tokens > 4096 else 512
    available = sum(gpu.free_bytes for gpu in gpus)
    return next(
        batch
        for batch in _BATCHES
        if batch <= wanted and (batch == _BATCHES[-1] or _has_room(batch, predicted, available))
    )


def _has_room(batch: int, predicted: int, available: int) -> bool:
    if not predicted or not available:
        return True
    usable = available * _USABLE // 100
    return (
        predicted <= usable
        and predicted <= available * _HEADROOMS[batch] // 100
        and _SURCHARGES[batch] <= usable - predicted
    )


def chosen_gpus(
    predicted: int, gpus: Sequence[OllamaGpu], *, spread: bool = False, ram_bytes: int = 0
) -> tuple[int, ...]:
    """One GPU if the estimate leaves a fifth of it free, else all of the library with most."""

    def available(gpu: OllamaGpu) -> int:
        if gpu.integrated and 0 < ram_bytes < gpu.free_bytes:
            return ram_bytes
        return gpu.free_bytes

    def rank(nth: int) -> tuple[bool, int, int]:
        return (not gpus[nth].integrated, available(gpus[nth]), -nth)

    if len(gpus) <= 1:
        return tuple(range(len(gpus)))
    if not spread and predicted > 0:
        holding = [
            nth for nth, gpu in enumerate(gpus) if predicted <= available(gpu) * _USABLE // 100
        ]
        if holding:
            return (max(holding, key=rank),)
    groups: dict[str, list[int]] = {}
    for nth, gpu in enumerate(gpus):
        groups.setdefault(gpu.library, []).append(nth)
    best = max(
        groups.values(),
        key=lambda group: (
            any(not gpus[nth].integrated for nth in group),
            sum(available(gpus[nth]) for nth in group),
        ),
    )
    return tuple(best)


def num_parallel(model: OllamaModel, request: OllamaRequest) -> int:
    if not request.completion or model.architecture in ONE_REQUEST:
        return 1
    return max(request.num_parallel, 1)


def choose(
    model: OllamaModel,
    request: OllamaRequest,
    gpus: Sequence[OllamaGpu],
    ram: RamMemory | None = None,
) -> OllamaChoice:
    """Everything that Ollama leaves open, decided."""
    parallel = num_parallel(model, request)
    context = request.context_length or default_context(gpus, request.gpu_overhead_bytes)
    context = min(context, model.longest_context or context)
    predicted = model.predicted_bytes(context * parallel)
    ram_free = 0 if ram is None else ram.available_bytes
    numbers = chosen_gpus(predicted, gpus, spread=request.spread, ram_bytes=ram_free)
    if request.num_gpu == 0:
        numbers = ()
    used = [gpus[nth] for nth in numbers]
    flash = request.flash_attention
    if flash is None:
        flash = all(gpu.flash_attention for gpu in used)
    batch = request.num_batch
    if batch is None and request.completion:
        batch = batch_size(context * parallel, predicted, used, flash_attention=flash)
    elif batch is None:
        batch = min(_EMBEDDING_BATCH, context)
    return OllamaChoice(
        context_length=context,
        num_parallel=parallel,
        num_batch=batch,
        flash_attention=flash,
        predicted_bytes=predicted,
        gpus=numbers,
        margin_bytes=_margin(model, used),
        projector_gpu=0 if projector_on_gpu(model, used) else None,
    )


def settle(
    model: SizedModel,
    request: OllamaRequest,
    gpus: Sequence[OllamaGpu],
    ram: RamMemory | None = None,
) -> OllamaRun:
    """What Ollama chooses, and the placement that follows from it."""
    choice = choose(OllamaModel.of(model), request, gpus, ram)
    run = choice.run(request.cache_type or "f16")
    placement = place(
        model,
        run,
        choice.memory(gpus),
        ram,
        gpu_layers=request.num_gpu,
        numbers=choice.gpus,
        projector_gpu=choice.projector_gpu,
    )
    return OllamaRun(
        context_length=choice.context_length,
        num_parallel=choice.num_parallel,
        num_batch=choice.num_batch,
        flash_attention=choice.flash_attention,
        predicted_bytes=choice.predicted_bytes,
        run=run,
        placement=placement,
    )


def projector_on_gpu(model: OllamaModel, gpus: Sequence[OllamaGpu]) -> bool:
    """Ollama keeps a projector on the CPU where any GPU lacks room for it and its work."""
    needed = model.projector_bytes + PROJECTOR_WORK_BYTES
    return bool(gpus) and all(min(gpu.free_bytes, gpu.total_bytes) >= needed for gpu in gpus)


def _margin(model: OllamaModel, gpus: Sequence[OllamaGpu]) -> int:
    """With a projector the margin holds it, since `--fit` does not know of it."""
    if not model.projector_bytes or not projector_on_gpu(model, gpus):
        return MARGIN_BYTES
    return -(-(model.projector_bytes + PROJECTOR_WORK_BYTES) // _MIB) * _MIB
