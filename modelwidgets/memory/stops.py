"""What the report of a model would say at each setting that its card offers.

A card answers while a slider is moved, so all answers are worked out before: those of the settings
as they are first, for every context, then the others. A large model of experts that does not fit
takes seconds for all of them; whoever asks may stop between two, and go on later where it stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

from modelwidgets.fit_records import FitStop, FitStops
from modelwidgets.memory.judge import Judgement, Machine, Subject, judged
from modelwidgets.memory.ollama_defaults import OllamaModel, OllamaRequest, num_parallel

_SHORTEST = 2048
_LONGEST = 1 << 20
_CACHES = ("f16", "q8_0", "q4_0")
_REQUESTS = (1, 2, 4)


class StopTable:
    """The settings of one model on one machine, and their answers as far as they are known."""

    def __init__(self, subject: Subject, machine: Machine, now: Judgement, *, known: bool) -> None:
        """`now` is the report's judgement; not `known`, nothing is said of the machine."""
        self._subject = subject
        self._machine = machine
        self._known = known
        request = subject.request
        cache, several = request.cache_type or "f16", replace(request, num_parallel=max(_REQUESTS))
        one = num_parallel(OllamaModel.of(subject.model), several) == 1
        self.context_lengths = _contexts(subject.model.shape.context_length, now.run.context_length)
        self.kv_cache_types = _CACHES if now.run.flash_attention else (cache,)
        self.num_parallels = (1,) if one else _REQUESTS
        self._results: dict[tuple[str, int, int], FitStop] = {}
        self._working = threading.Lock()

    @property
    def complete(self) -> bool:
        return len(self._results) == sum(1 for _ in self._settings())

    def work(self, enough: Callable[[], bool]) -> None:
        """Work on what is not known yet, until `enough` says so or all of it is."""
        with self._working:
            for setting in sorted(self._settings(), key=self._turn):
                if setting not in self._results:
                    if enough():
                        return
                    self._results[setting] = self._stop(*setting)

    def stops(self) -> FitStops:
        """All settings; None stands for what is not worked out yet."""
        return FitStops(
            context_lengths=self.context_lengths,
            kv_cache_types=self.kv_cache_types,
            num_parallels=self.num_parallels,
            results=tuple(map(self._results.get, self._settings())),
        )

    def _settings(self) -> Iterator[tuple[str, int, int]]:
        return product(self.kv_cache_types, self.num_parallels, self.context_lengths)

    def _turn(self, setting: tuple[str, int, int]) -> tuple[int, int]:
        """How far from the settings as they are."""
        cache, parallel, _ = setting
        return self.num_parallels.index(parallel), self.kv_cache_types.index(cache)

    def _stop(self, cache: str, parallel: int, context: int) -> FitStop:
        asked: OllamaRequest = replace(
            self._subject.request, context_length=context, cache_type=cache, num_parallel=parallel
        )
        found = judged(self._subject.model, asked, self._machine)
        placement = found.run.placement
        return FitStop(
            verdict=placement.verdict if self._known else None,
            gpu_layers=placement.gpu_layers,
            experts_in_ram=placement.experts_in_ram,
            total_bytes=found.total_bytes,
            ram_bytes=found.total_bytes - found.gpu_bytes,
            terms=tuple((term.part, term.gpu, term.size_bytes) for term in found.terms),
        )


def _contexts(longest: int | None, chosen: int) -> tuple[int, ...]:
    """Doubling from the shortest that makes sense, with the longest and the chosen one."""
    most = longest or max(chosen, _LONGEST >> 3)
    found = {min(chosen, most), most}
    context = _SHORTEST
    while context < most and context <= _LONGEST:
        found.add(context)
        context *= 2
    return tuple(sorted(found))
