"""Will a model of the HuggingFace hub fit under transformers: the same report, by formula.

Nothing of a server's choices counts here: transformers runs in a process of its own, on the GPUs
that it sees, with as much of the model in RAM as does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from modelwidgets.device_records import Devices, Gpu
from modelwidgets.fit_records import (
    FitChange,
    FitReport,
    FitSuggestion,
    Placement,
    RecommendedGpu,
)
from modelwidgets.memory.hugging_face import (
    HubModel,
    TransformersRun,
    longest_context,
    place,
    weights_bytes,
)
from modelwidgets.memory.judge import VERDICTS, Machine
from modelwidgets.memory.overhead import overhead_bytes
from modelwidgets.memory.placement import GpuMemory, RamMemory
from modelwidgets.memory.report import users
from modelwidgets.memory.what_if import BECOMES, smallest_gpus
from modelwidgets.sizes import gib

_ASSUMED_CONTEXT = 4096
_CONTEXTS = tuple(1 << power for power in range(17, 9, -1))
_MOST = 4
"""More suggestions nobody reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSubject:
    """A model to be judged."""

    name: str
    model: HubModel
    context_length: int | None = None
    """As asked for."""
    batch: int = 1
    download_bytes: int | None = None
    installed: bool = False

    @property
    def run(self) -> TransformersRun:
        wanted = self.context_length or _ASSUMED_CONTEXT
        return TransformersRun(
            tokens=min(wanted, longest_context(self.model) or wanted), batch=self.batch
        )


def hub_report(
    subject: HubSubject,
    devices: Devices,
    *,
    ram_known: bool = True,
    notes: Sequence[str] = (),
) -> FitReport:
    """Held against these devices as they are at the moment."""
    ram = Machine.of(devices, ram_known=ram_known).ram
    held = _Held(subject.model, _usable(devices), ram)
    run = subject.run
    placed = held.placed(run)
    found = placed.estimate
    return FitReport(
        name=subject.name,
        verdict=placed.verdict,
        context_length=run.tokens,
        kv_cache_type="f16",
        num_parallel=run.batch,
        num_batch=run.tokens,
        terms=tuple(
            term if term.gpu is None else replace(term, gpu=held.gpus[term.gpu].index)
            for term in found.terms
        ),
        total_bytes=found.total_bytes,
        least_bytes=found.least_bytes,
        most_bytes=found.most_bytes,
        basis=subject.model.basis,
        known_architecture=False,
        gpu_layers=placed.gpu_layers,
        layer_count=placed.layer_count,
        experts_in_ram=0,
        devices=devices,
        users=tuple(users(devices)),
        suggestions=tuple(_suggestions(subject, held, run, placed)),
        recommended_gpu=_recommended(subject, run),
        download_bytes=subject.download_bytes,
        installed=subject.installed,
        notes=(*notes, *_said(subject, run, devices)),
    )


class _Held:
    """A model against GPUs and RAM."""

    def __init__(self, model: HubModel, gpus: Sequence[Gpu], ram: RamMemory | None) -> None:
        self._model = model
        self.gpus = tuple(gpus)
        self._ram = ram

    def placed(self, run: TransformersRun) -> Placement:
        return place(
            self._model,
            run,
            [GpuMemory(free_bytes=gpu.free_bytes or 0) for gpu in self.gpus],
            self._ram,
            contexts=[overhead_bytes(gpu) for gpu in self.gpus],
            pooled=any(gpu.unified for gpu in self.gpus),
        )


def _usable(devices: Devices) -> list[Gpu]:
    """PyTorch uses those of a library it has, and of which the memory is known."""
    return [
        gpu
        for gpu in devices.gpus
        if gpu.visible and gpu.free_bytes is not None and gpu.library != "vulkan"
    ]


def _suggestions(
    subject: HubSubject, held: _Held, run: TransformersRun, now: Placement
) -> list[FitSuggestion]:
    """Changes that were tried and are better, the best first."""
    found: list[tuple[int, FitSuggestion]] = []

    def tried(change: FitChange, text: str, other: TransformersRun) -> bool:
        then = held.placed(other)
        rank = VERDICTS.index(then.verdict)
        better = rank > VERDICTS.index(now.verdict)
        if better:
            found.append((rank, _told(subject, change, text, other, then)))
        return better

    if now.verdict == "full":
        return []
    for context in _CONTEXTS:
        less = replace(run, tokens=context)
        if context < run.tokens and tried("context", f"A context of {context} tokens", less):
            break
    if run.batch > 1:
        tried("parallel", "One request at a time", replace(run, batch=1))
    if "F32" in subject.model.parameters:
        tried("quantization", "In 16 bits (`dtype=torch.float16`)", replace(run, dtype="float16"))
    if any(gpu.library == "cuda" for gpu in held.gpus) and not _is_quantized(subject.model):
        for bits in (8, 4):
            tried("quantization", f"In {bits} bits (bitsandbytes)", replace(run, bits=bits))
    found.sort(key=lambda pair: -pair[0])
    return [one for _, one in found[:_MOST]]


def _is_quantized(model: HubModel) -> bool:
    return bool(model.config.get("quantization_config"))


def _told(
    subject: HubSubject, change: FitChange, text: str, run: TransformersRun, then: Placement
) -> FitSuggestion:
    total = then.estimate.total_bytes
    return FitSuggestion(
        change=change,
        text=f"{text} {BECOMES[then.verdict]}: {gib(total)} in all.",
        name=subject.name,
        context_length=run.tokens,
        kv_cache_type="f16",
        num_parallel=run.batch,
        verdict=then.verdict,
        total_bytes=total,
        download_bytes=None,
        basis=subject.model.basis,
    )


def _recommended(subject: HubSubject, run: TransformersRun) -> RecommendedGpu | None:
    def needed(gpus: tuple[Gpu, ...]) -> int | None:
        then = _Held(subject.model, gpus, None).placed(run)
        return then.estimate.total_bytes if then.verdict == "full" else None

    return smallest_gpus(lambda _: weights_bytes(subject.model, run), needed)


def _said(subject: HubSubject, run: TransformersRun, devices: Devices) -> Iterator[str]:
    yield (
        'For transformers, in the types of its files (`dtype="auto"`): the weights are as '
        "published, what it computes is a rule of thumb."
    )
    if not subject.context_length:
        yield f"Counted for {run.tokens} tokens, prompt and answer together."
    elif subject.context_length > run.tokens:
        yield f"It was made for a context of {run.tokens} tokens at most."
    for gpu in devices.gpus:
        if gpu.free_bytes is None:
            why = gpu.error or "its driver does not tell what is free"
            yield f"GPU {gpu.index} ({gpu.name}) is left out: {why}."
        elif not gpu.visible:
            yield f"GPU {gpu.index} ({gpu.name}) is left out: the environment hides it."
    if devices.reason and not devices.gpus and not devices.given:
        yield f"No GPU was found: {devices.reason}."
