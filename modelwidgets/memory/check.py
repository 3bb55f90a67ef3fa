"""A model in memory: what was to be expected of it, held against what its server says."""

from __future__ import annotations

from dataclasses import replace

from modelwidgets.fit_records import FitCheck
from modelwidgets.memory.judge import Machine, Subject, judged
from modelwidgets.memory.report import Held


def checked(subject: Subject, held: Held) -> FitCheck | None:
    """None where the model is not in memory, or nothing is known of the machine."""
    if not held.own or held.devices is None:
        return None
    running = held.own[0]
    context = running.context_length or held.request.context_length
    request = replace(held.request, context_length=context)
    found = judged(subject.model, request, _before_it_was_loaded(held))
    counted = [term for term in found.terms if term.part != "overhead"]
    return FitCheck(
        name=running.name,
        context_length=running.context_length,
        estimated_bytes=sum(term.size_bytes for term in counted),
        estimated_vram_bytes=sum(term.size_bytes for term in counted if term.gpu is not None),
        ps_bytes=running.size_bytes,
        ps_vram_bytes=running.size_vram_bytes,
    )


def _before_it_was_loaded(held: Held) -> Machine:
    """Of several GPUs nobody says on which the model is, so nothing else counts as on them."""
    if held.freed_bytes or len(held.machine.gpus) < 2:
        return held.machine
    gpus = tuple(
        replace(gpu, free_bytes=gpu.total_bytes) if gpu.free_bytes is not None else gpu
        for gpu in held.machine.gpus
    )
    return replace(held.machine, gpus=gpus)
