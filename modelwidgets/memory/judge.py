"""Will a model fit: everything that is known of it and of a machine, as one report.

The server's own choices come first (context, batch, GPUs), then the placement that its engine
makes of them, then what would help. The report is for this moment: it goes by what is free now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelwidgets.device_records import Devices, Gpu
from modelwidgets.fit_records import FitVerdict, MemoryTerm
from modelwidgets.memory import families
from modelwidgets.memory.ollama_defaults import (
    OllamaGpu,
    OllamaModel,
    OllamaRequest,
    OllamaRun,
    choose,
    next_lower_context,
    settle,
)
from modelwidgets.memory.overhead import as_ollama_sees, overhead_bytes
from modelwidgets.memory.placement import RamMemory, fits_whole
from modelwidgets.memory.sized_model import SizedModel
from modelwidgets.records import RunningModel

_ASSUMED_CONTEXT = 4096
_BOUNDLESS = Gpu(
    index=0,
    name="any GPU that is large enough",
    uuid=None,
    total_bytes=1 << 50,
    free_bytes=1 << 50,
    unified=False,
    error=None,
    library="cuda",
)
_OUTLINED_SHARE = 0.06
"""How far dimensions of the catalog may be off."""


VERDICTS: tuple[FitVerdict, ...] = ("no", "cpu", "partial", "moe-partial", "full")
"""From bad to good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """The same model in fewer bits."""

    name: str
    model: SizedModel
    size_bytes: int
    quantization: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model to be judged."""

    name: str
    model: SizedModel
    request: OllamaRequest
    alternatives: tuple[Alternative, ...] = ()
    """The largest first."""
    download_bytes: int | None = None
    installed: bool = False
    reason: str | None = None
    """Why its header is not known."""
    known_quantizations: bool = False
    """Whether the catalog knows the family, so that no alternative means that there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the model is held against."""

    gpus: tuple[Gpu, ...]
    ram: RamMemory | None
    freed_bytes: int = 0
    """What of the first GPU would be free besides."""

    @property
    def usable(self) -> list[tuple[Gpu, OllamaGpu]]:
        """Those that the server would use at all, as it sees them."""
        found = []
        for nth, gpu in enumerate(self.gpus):
            seen = as_ollama_sees(gpu, freed_bytes=0 if nth else self.freed_bytes)
            if seen is not None:
                found.append((gpu, seen))
        return found

    @property
    def memory(self) -> RamMemory | None:
        """The RAM; where it is the first GPU's too, what would be free there is free here."""
        ram = self.ram
        if ram is None or not self.freed_bytes or not self.gpus[0].unified:
            return ram
        return replace(ram, available_bytes=ram.available_bytes + self.freed_bytes)

    @classmethod
    def of(cls, devices: Devices, *, ram_known: bool = True, freed_bytes: int = 0) -> Machine:
        ram = RamMemory(
            available_bytes=devices.ram_available_bytes, swap_bytes=devices.swap_free_bytes
        )
        return cls(gpus=devices.gpus, ram=ram if ram_known else None, freed_bytes=freed_bytes)


BOUNDLESS = Machine(gpus=(_BOUNDLESS,), ram=None)
"""Stands in where nothing is known of the machine, to tell what the model needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One model on one machine."""

    run: OllamaRun
    terms: tuple[MemoryTerm, ...]
    least_bytes: int
    most_bytes: int
    known_architecture: bool

    @property
    def total_bytes(self) -> int:
        return sum(term.size_bytes for term in self.terms)

    @property
    def gpu_bytes(self) -> int:
        return sum(term.size_bytes for term in self.terms if term.gpu is not None)

    @property
    def rank(self) -> int:
        """Of two verdicts the better one is higher."""
        return VERDICTS.index(self.run.placement.verdict)


def judged(model: SizedModel, request: OllamaRequest, machine: Machine) -> Judgement:
    """Where it goes, and what it takes there; a context of the server's own choice steps down."""
    used = machine.usable
    gpus = [seen for _, seen in used]
    run = settle(model, request, gpus, machine.memory)
    while run.placement.verdict == "no" and not request.context_length:
        lower = next_lower_context(run.context_length)
        if lower is None:
            break
        run = settle(model, replace(request, context_length=lower), gpus, machine.memory)
    return _with_overhead(model, run, [gpu for gpu, _ in used])


def may_be_full(model: SizedModel, request: OllamaRequest, machine: Machine) -> bool:
    """Whether all of it lies on GPUs, which is known sooner than where else it would lie."""
    gpus = [seen for _, seen in machine.usable]
    choice = choose(OllamaModel.of(model), request, gpus, machine.memory)
    if request.num_gpu is not None:
        return bool(choice.gpus)
    run = choice.run(request.cache_type or "f16")
    return fits_whole(model, run, choice.memory(gpus))


def assumed(request: OllamaRequest) -> OllamaRequest:
    """With a context where none was asked for, because the memory that decides is unknown."""
    return replace(request, context_length=request.context_length or _ASSUMED_CONTEXT)


def freed_by(models: Sequence[RunningModel], devices: Devices) -> int:
    """What unloading these would free on the only GPU; 0 where nobody says on which they are."""
    if len(devices.gpus) != 1 or devices.given:
        return 0
    return sum(model.size_vram_bytes for model in models)


def _with_overhead(model: SizedModel, run: OllamaRun, gpus: Sequence[Gpu]) -> Judgement:
    placement = run.placement
    found = placement.estimate
    chosen = [gpus[number] for number in placement.gpus]
    terms = [
        term if term.gpu is None else replace(term, gpu=chosen[term.gpu].index)
        for term in found.terms
    ]
    busy = {term.gpu for term in terms}
    terms += [
        MemoryTerm(part="overhead", gpu=gpu.index, size_bytes=overhead_bytes(gpu), basis="guess")
        for gpu in chosen
        if gpu.index in busy and overhead_bytes(gpu)
    ]
    known = found.known_architecture
    total = sum(term.size_bytes for term in terms)
    beside = total - found.total_bytes
    least, most = found.least_bytes + beside, found.most_bytes + beside
    if model.weights is None:  # nothing was drawn
        known = model.shape.architecture in families.KNOWN
        if known:
            least = most = total
        doubt = int(_OUTLINED_SHARE * total)
        least, most = least - doubt, most + doubt
    if model.basis == "guess":
        least, most = model.file_bytes, total + 2 * (total - model.file_bytes)
    return Judgement(
        run=run,
        terms=tuple(term for term in terms if term.size_bytes),
        least_bytes=least,
        most_bytes=most,
        known_architecture=known,
    )
