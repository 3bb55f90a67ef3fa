"""What would make a model fit: each change is tried, nothing is promised by rule of thumb."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from modelwidgets.device_records import Gpu
from modelwidgets.fit_records import (
    FitChange,
    FitSuggestion,
    FitVerdict,
    MemoryBasis,
    RecommendedGpu,
)
from modelwidgets.memory.cards import CARDS, Card
from modelwidgets.memory.judge import Judgement, Machine, Subject, judged
from modelwidgets.memory.ollama_defaults import OllamaRequest
from modelwidgets.memory.placement import MARGIN_BYTES
from modelwidgets.records import RunningModel
from modelwidgets.sizes import gb, gib

_CONTEXTS = tuple(1 << power for power in range(17, 10, -1))
_CACHES = ("q8_0", "q4_0")
_COUNTS = (1, 2, 4, 8)
_EXAMPLES = 3
_ODD_BYTES = 64 << 20
"""What a cache in RAM may be padded by less on GPUs."""
BECOMES: dict[FitVerdict, str] = {
    "full": "fits whole on the GPU",
    "moe-partial": "keeps only experts in RAM",
    "partial": "runs partly on the GPU",
    "cpu": "runs on the CPU",
    "no": "does not fit",
}


def suggestions(
    subject: Subject,
    machine: Machine,
    now: Judgement,
    *,
    loaded: Sequence[RunningModel] = (),
    frees_bytes: int = 0,
) -> tuple[FitSuggestion, ...]:
    """Changes with a better verdict, the best first; unloading `loaded` frees so many bytes."""
    if now.run.placement.verdict == "full":
        return ()  # which nothing betters
    request = _as_now(subject, now)
    found = [
        *_best([_less_context(subject, machine, now, request, one) for one in _CONTEXTS]),
        *_best([_smaller_cache(subject, machine, now, request, one) for one in _CACHES]),
        *_best([_fewer_requests(subject, machine, now, request)]),
        *_best([_unloaded(subject, machine, now, request, loaded, frees_bytes)]),
        *_best(list(_fewer_bits(subject, machine, now, request))),
    ]
    return tuple(one for _, one in sorted(found, key=lambda pair: -pair[0]))


def _as_now(subject: Subject, now: Judgement) -> OllamaRequest:
    """What the server chose by itself is held fast, so that each change is tried alone."""
    return replace(
        subject.request, context_length=now.run.context_length, num_parallel=now.run.num_parallel
    )


_Tried = tuple[int, FitSuggestion] | None
"""With the rank of its verdict; None where it changes nothing for the better."""


def _best(tried: Iterable[_Tried]) -> list[tuple[int, FitSuggestion]]:
    """The first of those with the best verdict, so the smallest of the changes that do it."""
    better = [one for one in tried if one is not None]
    return [max(better, key=lambda pair: pair[0])] if better else []


def _less_context(
    subject: Subject, machine: Machine, now: Judgement, request: OllamaRequest, context: int
) -> _Tried:
    if context >= now.run.context_length:
        return None
    then = judged(subject.model, replace(request, context_length=context), machine)
    return _told(
        subject, now, then, request, "context", f"A context of {context} tokens", context=context
    )


def _smaller_cache(
    subject: Subject, machine: Machine, now: Judgement, request: OllamaRequest, cache: str
) -> _Tried:
    if (request.cache_type or "f16") not in ("f16", "f32", "bf16", "q8_0"):
        return None
    if request.cache_type == cache or not now.run.flash_attention:  # it cannot load without
        return None
    then = judged(subject.model, replace(request, cache_type=cache), machine)
    return _told(subject, now, then, request, "cache", f"A cache in {cache}", cache=cache)


def _fewer_requests(
    subject: Subject, machine: Machine, now: Judgement, request: OllamaRequest
) -> _Tried:
    if request.num_parallel == 1:
        return None
    tried = [
        _told(
            subject,
            now,
            judged(subject.model, replace(request, num_parallel=count), machine),
            request,
            "parallel",
            "One request at a time" if count == 1 else f"{count} requests at a time",
            parallel=count,
        )
        for count in range(min(request.num_parallel - 1, 16), 0, -1)
    ]
    return next(iter(_best(tried)), None)


def _unloaded(
    subject: Subject,
    machine: Machine,
    now: Judgement,
    request: OllamaRequest,
    loaded: Sequence[RunningModel],
    frees_bytes: int,
) -> _Tried:
    if not frees_bytes:
        return None
    then = judged(
        subject.model, request, replace(machine, freed_bytes=machine.freed_bytes + frees_bytes)
    )
    names = ", ".join(model.name for model in loaded)
    return _told(subject, now, then, request, "unload", f"Unloading {names}")


def _fewer_bits(
    subject: Subject, machine: Machine, now: Judgement, request: OllamaRequest
) -> Iterator[_Tried]:
    for other in subject.alternatives:
        then = judged(other.model, request, machine)
        label = f" ({other.quantization})" if other.quantization else ""
        text = f"{other.name}{label}, a download of {gb(other.size_bytes)},"
        tried = _told(subject, now, then, request, "quantization", text, basis=other.model.basis)
        if tried is not None:
            rank, one = tried
            yield rank, replace(one, name=other.name, download_bytes=other.size_bytes)


def _told(
    subject: Subject,
    now: Judgement,
    then: Judgement,
    request: OllamaRequest,
    change: FitChange,
    text: str,
    *,
    context: int | None = None,
    cache: str | None = None,
    parallel: int | None = None,
    basis: MemoryBasis | None = None,
) -> _Tried:
    if then.rank <= now.rank:
        return None
    verdict = then.run.placement.verdict
    return then.rank, FitSuggestion(
        change=change,
        text=f"{text} {BECOMES[verdict]}: {gib(then.total_bytes)} in all.",
        name=subject.name,
        context_length=context or then.run.context_length,
        kv_cache_type=cache or request.cache_type or "f16",
        num_parallel=parallel or then.run.num_parallel,
        verdict=verdict,
        total_bytes=then.total_bytes,
        download_bytes=None,
        basis=basis or subject.model.basis,
    )


def recommended_gpu(subject: Subject, now: Judgement) -> RecommendedGpu | None:
    """The smallest memory of one card, else of two, four or eight, that holds all of it."""
    request = _as_now(subject, now)
    cached = sum(
        term.size_bytes for term in now.terms if term.part in ("kv_cache", "recurrent_state")
    )
    held = sum(subject.model.layer_bytes) + subject.model.output_bytes + cached

    def needed(gpus: tuple[Gpu, ...]) -> int | None:
        then = judged(subject.model, request, Machine(gpus=gpus, ram=None))
        return then.gpu_bytes if then.run.placement.verdict == "full" else None

    return smallest_gpus(lambda count: held + count * (MARGIN_BYTES - _ODD_BYTES), needed)


def smallest_gpus(
    least_bytes: Callable[[int], int], needed: Callable[[tuple[Gpu, ...]], int | None]
) -> RecommendedGpu | None:
    """By trying cards: `needed` is None for those that do not hold it all.

    Fewer than `least_bytes` of so many cards are too few for sure, and not tried.
    """
    classes = [
        (size, sorted(cards, key=lambda card: card.memory_mib))
        for size, cards in groupby(sorted(CARDS, key=lambda card: card.gb), lambda card: card.gb)
    ]
    for count in _COUNTS:
        least = least_bytes(count)
        for size, cards in classes:
            if count * cards[-1].memory_bytes < least:
                continue
            holding = [
                (card, bytes_)
                for card in cards
                if (bytes_ := needed(tuple(card.gpu(nth) for nth in range(count)))) is not None
            ]
            if holding:
                return RecommendedGpu(
                    memory_bytes=size << 30,
                    count=count,
                    needed_bytes=holding[0][1],
                    cards=tuple(_known_best([card for card, _ in holding])),
                )
    return None


def _known_best(holding: list[Card]) -> list[str]:
    """In the order of the table of cards, which begins with the newest."""
    return [card.name for card in sorted(holding, key=CARDS.index)[:_EXAMPLES]]
