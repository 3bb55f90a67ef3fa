"""The report of one model on one machine, with what else is to be said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelwidgets.device_records import Devices
from modelwidgets.fit_records import FitReport, FitRow, MemoryUser
from modelwidgets.memory.judge import (
    BOUNDLESS,
    Judgement,
    Machine,
    Subject,
    assumed,
    freed_by,
    judged,
)
from modelwidgets.memory.ollama_defaults import OllamaRequest
from modelwidgets.memory.what_if import recommended_gpu, suggestions
from modelwidgets.names import normalised
from modelwidgets.records import RunningModel
from modelwidgets.sizes import gib


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a model is held against, and how it would be asked to run there."""

    devices: Devices | None
    """None says nothing of the machine."""
    machine: Machine
    request: OllamaRequest
    own: Sequence[RunningModel]
    """The model itself, where it is in memory now."""
    others: Sequence[RunningModel]
    freed_bytes: int
    """What the model itself has of the GPU now."""

    @classmethod
    def against(
        cls,
        devices: Devices | None,
        subject: Subject,
        *,
        running: Sequence[RunningModel] = (),
        ram_known: bool = True,
    ) -> Held:
        """`running` is what the server of these devices has in memory."""
        own = [one for one in running if normalised(one.name) == normalised(subject.name)]
        machine, request, freed = BOUNDLESS, assumed(subject.request), 0
        if devices is not None:
            freed = freed_by(own, devices)
            machine = Machine.of(devices, ram_known=ram_known, freed_bytes=freed)
            request = subject.request
        return cls(
            devices=devices,
            machine=machine,
            request=request,
            own=own,
            others=[one for one in running if one not in own],
            freed_bytes=freed,
        )


def report(
    subject: Subject,
    devices: Devices | None,
    *,
    running: Sequence[RunningModel] = (),
    ram_known: bool = True,
    notes: Sequence[str] = (),
) -> FitReport:
    """`devices` None says nothing of the machine; `running` is what its server has in memory."""
    held = Held.against(devices, subject, running=running, ram_known=ram_known)
    return reported(subject, held, judged(subject.model, held.request, held.machine), notes)


def reported(subject: Subject, held: Held, now: Judgement, notes: Sequence[str] = ()) -> FitReport:
    """The report of a judgement that was made, with what would help."""
    devices, others, said = held.devices, held.others, list(notes)
    if held.freed_bytes:
        freed = gib(held.freed_bytes)
        said.append(f"It is loaded now; the {freed} that it has of the GPU count as free.")
    said += _said(subject, now, devices)
    helping = (
        ()
        if devices is None
        else suggestions(
            subject,
            held.machine,
            now,
            loaded=others,
            frees_bytes=freed_by(others, devices),
        )
    )
    placement = now.run.placement
    return FitReport(
        name=subject.name,
        verdict=None if devices is None else placement.verdict,
        context_length=now.run.context_length,
        kv_cache_type=subject.request.cache_type or "f16",
        num_parallel=now.run.num_parallel,
        num_batch=now.run.num_batch,
        terms=now.terms,
        total_bytes=now.total_bytes,
        least_bytes=now.least_bytes,
        most_bytes=now.most_bytes,
        basis=subject.model.basis,
        known_architecture=now.known_architecture,
        gpu_layers=placement.gpu_layers,
        layer_count=placement.layer_count,
        experts_in_ram=placement.experts_in_ram,
        devices=devices,
        users=tuple(users(devices, others)),
        suggestions=helping,
        recommended_gpu=recommended_gpu(subject, now),
        download_bytes=subject.download_bytes,
        installed=subject.installed,
        notes=tuple(said),
    )


def row(found: FitReport) -> FitRow:
    """The report as one line."""
    best = found.recommended_gpu

    def part(name: str) -> int:
        return sum(term.size_bytes for term in found.terms if term.part == name)

    return FitRow(
        name=found.name,
        verdict=found.verdict,
        context_length=found.context_length,
        total_bytes=found.total_bytes,
        gpu_bytes=found.gpu_bytes,
        ram_bytes=found.ram_bytes,
        weights_bytes=part("weights"),
        kv_cache_bytes=part("kv_cache") + part("recurrent_state"),
        download_bytes=found.download_bytes,
        gpu_layers=found.gpu_layers,
        layer_count=found.layer_count,
        basis=found.basis,
        recommended_gpu=None if best is None else gpu_class(best.count, best.memory_bytes),
        error=None,
    )


def failed_row(name: str, error: str) -> FitRow:
    """The line of a model of which nothing is known."""
    return FitRow(
        name=name,
        verdict=None,
        context_length=None,
        total_bytes=None,
        gpu_bytes=None,
        ram_bytes=None,
        weights_bytes=None,
        kv_cache_bytes=None,
        download_bytes=None,
        gpu_layers=None,
        layer_count=None,
        basis=None,
        recommended_gpu=None,
        error=error,
    )


def gpu_class(count: int, memory_bytes: int) -> str:
    """`24 GiB`, `2 x 80 GiB`."""
    return f"{f'{count} x ' if count > 1 else ''}{memory_bytes >> 30} GiB"


def users(devices: Devices | None, models: Sequence[RunningModel] = ()) -> Iterator[MemoryUser]:
    """Who has memory of the GPUs now; of devices that a person named nobody has any."""
    if devices is None or devices.given:
        return
    for model in models:
        if model.size_vram_bytes:
            yield MemoryUser(name=model.name, gpu=None, used_bytes=model.size_vram_bytes, pid=None)
    for gpu in devices.gpus:
        for one in gpu.processes:
            yield MemoryUser(name=one.name, gpu=gpu.index, used_bytes=one.used_bytes, pid=one.pid)


def _said(subject: Subject, now: Judgement, devices: Devices | None) -> Iterator[str]:
    model, run = subject.model, now.run
    architecture = model.shape.architecture
    if model.basis == "guess":
        yield "Only its size is known, so what it needs is a guess between these bounds."
    elif model.basis == "catalog":
        yield (
            "Its sizes are from the catalog's dimensions, right to a few per cent: the header of "
            "its file was not read."
        )
    if subject.reason:
        yield subject.reason
    if model.basis != "guess" and not now.known_architecture:
        yield (
            f"The architecture {architecture} is not known here, so its compute buffers are a "
            "guess, and what it needs is a range."
        )
    if subject.request.num_parallel > run.num_parallel:
        yield "Models of its kind answer one request at a time, whatever is asked for."
    asked = subject.request.context_length
    if asked and asked > run.context_length:
        yield f"It was made for a context of {run.context_length} tokens at most."
    if devices is None:
        return
    if run.placement.fits_when_forced and run.placement.verdict != "full":
        yield (
            "All layers would fit, but the engine keeps 1 GiB free on each GPU and puts some in "
            "RAM."
        )
    if run.placement.swap_bytes and run.placement.verdict != "no":
        yield f"{gib(run.placement.swap_bytes)} of it would go to swap, which is very slow."
    for gpu in devices.gpus:
        if gpu.error or gpu.free_bytes is None:
            why = gpu.error or "its driver does not tell what is free"
            yield f"GPU {gpu.index} ({gpu.name}) is left out: {why}."
        elif not gpu.visible:
            yield f"GPU {gpu.index} ({gpu.name}) is left out: the environment hides it."
        elif gpu.unified and gpu.library not in ("cuda", "metal"):
            yield f"GPU {gpu.index} ({gpu.name}) is left out: Ollama uses no such GPU by itself."
    if devices.reason and not devices.gpus and not devices.given:
        yield f"No GPU was found: {devices.reason}."
    whole = run.placement.verdict == "full"
    if not whole and devices.gpus and subject.known_quantizations and not subject.alternatives:
        yield "The catalog has it in no smaller quantization."
