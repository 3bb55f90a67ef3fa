"""What would make a model fit: each change is tried, nothing is promised by rule of thumb."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from modelwidgets.device_records import Gpu
from modelwidgets.fit_records import (
    FitChange,
    FitSuggestion,
    FitVerdict,
    RecommendedGpu,
)
from modelwidgets.memory.cards import CARDS, Card
from modelwidgets.memory.judge import (
    VERDICTS,
    Alternative,
    Judgement,
    Machine,
    Subject,
    judged,
    may_be_full,
)
from modelwidgets.memory.ollama_defaults import OllamaRequest
from modelwidgets.memory.placement import MARGIN_BYTES
from modelwidgets.records import RunningModel
from modelwidgets.sizes import gb, gib

_CONTEXTS = tuple(1 << power for power in range(17, 10, -1))
_CACHES = ("q8_0", "q4_0")
_COUNTS = (1, 2, 4, 8)
_SHORT_CONTEXTS = (4096, 2048)
_MOST = 5
"""More suggestions nobody reads."""
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
    """Changes with a better verdict, the best first; unloading `loaded` frees so many bytes.

    Two changes at once are tried where no single one makes it fit.
    """
    if now.run.placement.verdict == "full":
        return ()  # which nothing betters
    trials = _Trials(subject, machine, now)
    least = now.rank + 1
    groups = [
        trials.less_context(),
        trials.smaller_cache(),
        trials.fewer_requests(),
        trials.unloaded(loaded, frees_bytes),
        trials.fewer_bits(),
    ]
    found = [best for group in groups if (best := trials.best(group, least))]
    goal = VERDICTS.index("full" if machine.usable else "cpu")
    if all(rank < goal for rank, _ in found):
        pairs = list(trials.pairs(_CONTEXTS))
        together = [first for pair in pairs if (first := trials.first(pair, goal))]
        if not found and not together:
            pairs = list(trials.pairs(_SHORT_CONTEXTS))
            together = [first for pair in pairs if (first := trials.first(pair, least))]
        found = [*together, *found]
    ordered = sorted(found, key=lambda pair: -pair[0])
    return tuple(one for _, one in ordered[:_MOST])


def _as_now(subject: Subject, now: Judgement) -> OllamaRequest:
    """What the server chose by itself is held fast, so that each change is tried alone."""
    return replace(
        subject.request, context_length=now.run.context_length, num_parallel=now.run.num_parallel
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What is done otherwise; what is None stays."""

    change: FitChange
    text: str
    context: int | None = None
    cache: str | None = None
    parallel: int | None = None
    other: Alternative | None = None
    freed_bytes: int = 0

    def and_also(self, more: _Change) -> _Change:
        return replace(
            self,
            text=f"{self.text.removesuffix(',')} with {more.text[0].lower()}{more.text[1:]}",
            context=more.context or self.context,
            cache=more.cache or self.cache,
            parallel=more.parallel or self.parallel,
        )


_Found = tuple[int, FitSuggestion]
"""With the rank of its verdict."""


class _Trials:
    """Changes of one judgement, each of which is tried before it is named."""

    def __init__(self, subject: Subject, machine: Machine, now: Judgement) -> None:
        self._subject = subject
        self._machine = machine
        self._now = now
        self._request = _as_now(subject, now)

    def less_context(self, contexts: Sequence[int] = _CONTEXTS) -> list[_Change]:
        return [
            _Change(change="context", text=f"A context of {one} tokens", context=one)
            for one in contexts
            if one < self._now.run.context_length
        ]

    def smaller_cache(self) -> list[_Change]:
        cache = self._request.cache_type or "f16"
        loads = self._now.run.flash_attention and cache in ("f16", "f32", "bf16", "q8_0")
        return [
            _Change(change="cache", text=f"A cache in {one}", cache=one)
            for one in _CACHES
            if loads and one != cache
        ]

    def fewer_requests(self) -> list[_Change]:
        return [
            _Change(
                change="parallel",
                text="One request at a time" if count == 1 else f"{count} requests at a time",
                parallel=count,
            )
            for count in range(min(self._request.num_parallel - 1, 16), 0, -1)
        ]

    def unloaded(self, loaded: Sequence[RunningModel], frees_bytes: int) -> list[_Change]:
        names = ", ".join(model.name for model in loaded)
        text = f"Unloading {names}"
        return [_Change(change="unload", text=text, freed_bytes=frees_bytes)] if frees_bytes else []

    def fewer_bits(self) -> list[_Change]:
        return [
            _Change(
                change="quantization",
                text=f"{one.name}{f' ({one.quantization})' if one.quantization else ''}, "
                f"a download of {gb(one.size_bytes)},",
                other=one,
            )
            for one in self._subject.alternatives
        ]

    def pairs(self, contexts: Sequence[int]) -> Iterator[list[_Change]]:
        """Two changes at once; in each group the one that costs least comes first."""
        short, caches = self.less_context(contexts), self.smaller_cache()
        one_request, others = self.fewer_requests()[-1:], self.fewer_bits()
        yield [cache.and_also(less) for less in short for cache in caches]
        yield [one.and_also(cache) for one in one_request for cache in caches]
        yield [one.and_also(less) for less in short for one in one_request]
        yield [other.and_also(cache) for other in others for cache in caches]
        yield [other.and_also(less) for less in short for other in others]

    def best(self, changes: Iterable[_Change], least: int) -> _Found | None:
        """The first of those with the best verdict, so the smallest of the changes that do it."""
        found: _Found | None = None
        for change in changes:
            tried = self.tried(change, least)
            if tried is not None:
                found, least = tried, tried[0] + 1
                if least == len(VERDICTS):
                    break
        return found

    def first(self, changes: Iterable[_Change], least: int) -> _Found | None:
        return next((tried for one in changes if (tried := self.tried(one, least))), None)

    def tried(self, change: _Change, least: int) -> _Found | None:
        """None where the verdict that follows has a lower rank than `least`."""
        asked, subject = self._request, self._subject
        request = replace(
            asked,
            context_length=change.context or asked.context_length,
            cache_type=change.cache or asked.cache_type,
            num_parallel=change.parallel or asked.num_parallel,
        )
        machine = self._machine
        if change.freed_bytes:
            machine = replace(machine, freed_bytes=machine.freed_bytes + change.freed_bytes)
        model = change.other.model if change.other else subject.model
        partly = VERDICTS.index("moe-partial" if model.shape.is_moe else "partial")
        if least > partly and not may_be_full(model, request, machine):
            return None
        then = judged(model, request, machine)
        if then.rank < least:
            return None
        verdict = then.run.placement.verdict
        return then.rank, FitSuggestion(
            change=change.change,
            text=f"{change.text} {BECOMES[verdict]}: {gib(then.total_bytes)} in all.",
            name=change.other.name if change.other else subject.name,
            context_length=change.context or then.run.context_length,
            kv_cache_type=request.cache_type or "f16",
            num_parallel=change.parallel or then.run.num_parallel,
            verdict=verdict,
            total_bytes=then.total_bytes,
            download_bytes=change.other.size_bytes if change.other else None,
            basis=model.basis,
        )


def recommended_gpu(subject: Subject, now: Judgement) -> RecommendedGpu | None:
    """The smallest memory of one card, else of two, four or eight, that holds all of it."""
    request = _as_now(subject, now)
    cached = sum(
        term.size_bytes for term in now.terms if term.part in ("kv_cache", "recurrent_state")
    )
    held = sum(subject.model.layer_bytes) + subject.model.output_bytes + cached

    def needed(gpus: tuple[Gpu, ...]) -> int | None:
        machine = Machine(gpus=gpus, ram=None)
        if not may_be_full(subject.model, request, machine):
            return None
        then = judged(subject.model, request, machine)
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
