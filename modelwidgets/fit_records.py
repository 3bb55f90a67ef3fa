"""The records that tell whether a model fits: its memory, its place, the report.

What `records.py` says of fields and units holds here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from modelwidgets.device_records import Devices

MemoryPart = Literal[
    "weights",
    "kv_cache",
    "recurrent_state",
    "compute",
    "projector",
    "adapter",
    "output",
    "overhead",
]
MemoryBasis = Literal["header", "manifest", "catalog", "guess"]
FitVerdict = Literal["full", "moe-partial", "partial", "cpu", "no"]
FitChange = Literal["context", "cache", "parallel", "unload", "quantization"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTerm:
    """One part of what a model needs on one device."""

    part: MemoryPart
    gpu: int | None
    """Number of the GPU among those asked about; None: RAM."""
    size_bytes: int
    basis: MemoryBasis


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """What a model needs where, term by term."""

    terms: tuple[MemoryTerm, ...]
    total_bytes: int
    least_bytes: int
    """Below the total where the architecture is not known, so that compute is a guess."""
    most_bytes: int
    known_architecture: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FitGlance:
    """A first verdict, before any header was read."""

    verdict: FitVerdict
    needed_bytes: int
    """On GPUs and in RAM together."""
    gpu_layers: int | None
    """None: the dimensions are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the parts of a model will go on the memory that is free."""

    verdict: FitVerdict
    gpu_layers: int
    """Layers on GPUs, the output counted as one."""
    layer_count: int
    """All layers and the output."""
    layers_by_gpu: tuple[int, ...]
    experts_in_ram: int
    """Layers on a GPU whose experts, or some of them, stay in RAM."""
    gpus: tuple[int, ...]
    """Numbers of the GPUs that the engine uses, in its order."""
    estimate: MemoryEstimate
    margins_bytes: tuple[int, ...]
    """What stays free on each of these GPUs; below zero: too much is asked for."""
    fits_when_forced: bool
    """All layers would fit physically, yet the engine keeps a reserve and moves some to RAM."""
    ram_needed_bytes: int
    """With what GPUs take that have no memory of their own."""
    ram_available_bytes: int | None
    swap_bytes: int
    """What of it would go to swap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUser:
    """Somebody else who has memory of a GPU now: a program, or a model that is loaded."""

    name: str | None
    """None where it cannot be known."""
    gpu: int | None
    """None: nobody says on which."""
    used_bytes: int | None
    pid: int | None
    """None for a model, whose memory is part of what the server's programs have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSuggestion:
    """One change that would help, and what would follow from it."""

    change: FitChange
    text: str
    name: str
    """The model: another one where that is the change."""
    context_length: int
    kv_cache_type: str
    num_parallel: int
    verdict: FitVerdict
    total_bytes: int
    download_bytes: int | None
    """Of another model."""
    basis: MemoryBasis


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendedGpu:
    """The smallest memory that holds a model whole, with nothing else on it."""

    memory_bytes: int
    """As the box of one card says."""
    count: int
    needed_bytes: int
    """Of all of these cards together."""
    cards: tuple[str, ...]
    """Examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """Whether a model fits, what it needs where, and what would help."""

    name: str
    verdict: FitVerdict | None
    """None where nothing is known of the machine."""
    context_length: int
    """Of one request: as asked for, or as the server would choose."""
    kv_cache_type: str
    num_parallel: int
    num_batch: int
    terms: tuple[MemoryTerm, ...]
    total_bytes: int
    least_bytes: int
    """Below the total where something is a guess."""
    most_bytes: int
    basis: MemoryBasis
    """What the sizes are from."""
    known_architecture: bool
    gpu_layers: int
    layer_count: int
    experts_in_ram: int
    devices: Devices | None
    """What it was held against; None where nothing is known of the machine."""
    users: tuple[MemoryUser, ...]
    suggestions: tuple[FitSuggestion, ...]
    recommended_gpu: RecommendedGpu | None
    """None where no card is large enough, nor eight of them."""
    download_bytes: int | None
    installed: bool
    notes: tuple[str, ...]
    """What was assumed, and why something is not known."""

    @property
    def gpu_bytes(self) -> int:
        """What it needs on GPUs."""
        return sum(term.size_bytes for term in self.terms if term.gpu is not None)

    @property
    def ram_bytes(self) -> int:
        """What it needs in RAM."""
        return sum(term.size_bytes for term in self.terms if term.gpu is None)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        from modelwidgets.text_fit import fit_text  # noqa: PLC0415 - a notebook asks for it

        printer.text("FitReport(...)" if cycle else fit_text(self))

    def _repr_html_(self) -> str:
        from modelwidgets.text_fit import fit_html  # noqa: PLC0415 - a notebook asks for it

        return fit_html(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRow:
    """A report as one line of a table."""

    name: str
    verdict: FitVerdict | None
    context_length: int | None
    total_bytes: int | None
    gpu_bytes: int | None
    ram_bytes: int | None
    weights_bytes: int | None
    kv_cache_bytes: int | None
    download_bytes: int | None
    gpu_layers: int | None
    layer_count: int | None
    basis: MemoryBasis | None
    recommended_gpu: str | None
    """The smallest memory that holds it, in words."""
    error: str | None
    """Why nothing is known of it."""


# What a page is told


@dataclass(frozen=True, slots=True, kw_only=True)
class FitMark:
    """Whether a model fits now, in short, for its row."""

    verdict: FitVerdict | None
    """None where nothing is known of the machine, or of the model."""
    fits: bool | None
    """Whole on GPUs; where there is no GPU, in RAM. What `fits` in a search finds."""
    needed_bytes: int | None
    """On GPUs and in RAM together."""
    gpu_layers: int | None
    layer_count: int | None
    """All layers and the output."""
    basis: MemoryBasis | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitMarks:
    """Marks of the installed models and of all tags of the catalog."""

    context_length: int | None
    """Which the server chooses on this machine; models made for less have less."""
    judged: bool
    """False: nothing is known of the machine, so no mark has a verdict."""
    marks: dict[str, FitMark]
    """By full name, as rows have it."""


StopTerm = tuple[MemoryPart, int | None, int]
"""A part, the number of its GPU (None: RAM), and its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitStop:
    """What a report would say of one setting, as short as it can be said."""

    verdict: FitVerdict | None
    gpu_layers: int
    experts_in_ram: int
    total_bytes: int
    ram_bytes: int
    terms: tuple[StopTerm, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitStops:
    """Reports for all settings that a card offers, so that it answers without asking again."""

    context_lengths: tuple[int, ...]
    kv_cache_types: tuple[str, ...]
    num_parallels: tuple[int, ...]
    results: tuple[FitStop | None, ...]
    """At `(cache * parallels + parallel) * contexts + context`, by the places in these lists.

    None: not worked out yet.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class FitCheck:
    """A model in memory: what was to be expected, and what its server says."""

    name: str
    context_length: int | None
    """Of one request, as the server says; None where it does not."""
    estimated_bytes: int
    """Without what a program takes besides, which servers do not count."""
    estimated_vram_bytes: int
    ps_bytes: int
    ps_vram_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FitCard:
    """Everything that the card of one model shows."""

    report: FitReport
    """As the server would run it, on the memory that is free now."""
    stops: FitStops
    check: FitCheck | None
    """None: it is not in memory."""
