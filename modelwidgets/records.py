"""The records that travel between stores, manager, doors and pages. No logic.

Every field keeps its spelling in JSON and in `frontend/src/records.ts`; `tests/test_records.py`
compares the two files. Units stand in the names; sizes are bytes, times are seconds unless named
otherwise, dates are aware `datetime`s (ISO 8601 in JSON). A field is `None` only where the source
really leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal

PullState = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
PullPhase = Literal[
    "queued",
    "checking",
    "manifest",
    "downloading",
    "stalled",
    "retrying",
    "verifying",
    "writing",
    "done",
]
ServiceState = Literal["running", "starting", "stopped", "hung", "unreachable", "foreign"]
NoticeKind = Literal["success", "info", "warning", "error"]
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


# What is on disk and in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledModel:
    """One model as `/api/tags` lists it."""

    name: str
    """Full name with tag, without default host and namespace: `llama3.2:3b`."""
    digest: str
    """SHA-256 of the manifest, 64 hex digits, no prefix."""
    size_bytes: int
    """Sum of all layers; a layer shared with another model counts here too."""
    modified_at: datetime | None
    format: str
    family: str
    families: tuple[str, ...]
    parameter_size: str
    """The label that the server shows: `3.2B`."""
    parameters: int | None
    """The label as a number of weights; None where there is no label."""
    quantization: str
    max_context_length: int | None
    embedding_length: int | None
    capabilities: tuple[str, ...] | None
    """None where the server (before 0.30) does not say."""
    remote_model: str | None
    remote_host: str | None
    """Set on cloud stubs, whose weights are elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningModel:
    """One model in memory, as `/api/ps` lists it."""

    name: str
    digest: str
    size_bytes: int
    """RAM and VRAM together, parsed by the server from its runner's log."""
    size_vram_bytes: int
    expires_at: datetime | None
    """None means never (`keep_alive` below zero)."""
    context_length: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A tensor of a model: its name, GGML type and shape (fastest dimension first)."""

    name: str
    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What `/api/show` says of one model."""

    name: str
    license: str
    modelfile: str
    parameters_text: str
    """The parameters block as the server writes it, a line a value."""
    template: str
    system: str
    format: str
    family: str
    families: tuple[str, ...]
    parameter_size: str
    parameters: int | None
    quantization: str
    capabilities: tuple[str, ...] | None
    max_context_length: int | None
    embedding_length: int | None
    requires: str | None
    """The lowest server version that can run it."""
    modified_at: datetime | None
    remote_model: str | None
    remote_host: str | None
    model_info: dict[str, Any]
    """GGUF keys and values; long arrays are None unless asked for (`verbose`)."""
    projector_info: dict[str, Any]
    tensors: tuple[Tensor, ...]


# Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One entry of a manifest."""

    media_type: str
    digest: str
    """`sha256:` and 64 hex digits."""
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a registry (or the store on disk) says that a name is made of."""

    name: str
    digest: str
    """SHA-256 of the manifest's own bytes, 64 hex digits."""
    layers: tuple[Layer, ...]
    """All layers, then the config."""
    total_bytes: int
    """Bytes by distinct digest, config included."""


# Pulls


@dataclass(frozen=True, slots=True, kw_only=True)
class PullStep:
    """One line of the server during a pull."""

    status: str
    digest: str | None
    total_bytes: int | None
    completed_bytes: int
    """0 where the server omits it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullPlan:
    """What a pull would fetch, known before its first byte."""

    name: str
    digest: str | None
    """Manifest digest; None where the manifest could not be read."""
    total_bytes: int | None
    present_bytes: int
    """Layers that lie complete in the store."""
    shared_bytes: int
    """Of these, layers that other models use too."""
    partial_bytes: int
    """Kept from an unfinished download."""
    to_fetch_bytes: int | None
    free_bytes: int | None
    """Free on the disk of the store; None where that disk cannot be seen from here."""
    reserve_bytes: int
    """Kept free on that disk."""
    claimed_bytes: int
    """What other pulls under way will still take of it."""
    reason: str | None
    """Why something above is unknown, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """A whole pull as a user sees it."""

    id: str
    name: str
    url: str
    """The server that pulls."""
    state: PullState
    phase: PullPhase
    status: str
    """What goes on, in words."""
    total_bytes: int | None
    completed_bytes: int
    """Never falls during a pull; what was in the store before counts as completed."""
    bytes_per_second: float | None
    eta_seconds: float | None
    position: int | None
    """Place in the queue, from 1; None when not waiting."""
    error: str | None
    """The server's words, whole, with what to do next."""
    error_kind: str | None
    """Name of the error's class."""
    digest: str | None
    """Manifest digest expected, where known."""
    proof: str | None
    """When done: how that was checked."""
    plan: PullPlan | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePlan:
    """What deleting a model would free."""

    name: str
    frees_bytes: int
    exact: bool
    """False: the store cannot be read, so `frees_bytes` is an upper bound."""
    kept_bytes: int
    """Layers that stay because other models use them."""
    shared_with: tuple[str, ...]
    running: bool
    """Loaded in memory now: it is unloaded first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkDeletePlan:
    """What deleting several models together would free."""

    names: tuple[str, ...]
    frees_bytes: int
    """Each blob counted once, also one that only these models share."""
    exact: bool
    """False: the store cannot be read, so `frees_bytes` is an upper bound."""
    kept_bytes: int
    """Layers that stay because models beside these use them."""
    shared_with: tuple[str, ...]
    running: tuple[str, ...]
    """Those in memory now: they are unloaded first."""
    missing: tuple[str, ...]
    """Those asked for that are not installed any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteFailure:
    """A model that could not be deleted, and why."""

    name: str
    error: str
    error_kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkDeletion:
    """How deleting several models ended."""

    deleted: tuple[str, ...]
    failed: tuple[DeleteFailure, ...]


# Catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogTag:
    """One tag of a catalog model."""

    tag: str
    name: str
    """The name to pull."""
    size_bytes: int | None
    size_exact: bool
    """False: shown as "about"."""
    parameters: str | None
    quantization: str | None
    context_length: int | None
    digest: str | None
    """64 hex digits, or the first 12, which are never compared as a digest."""
    architecture: str | None
    """Key into the catalog's `architectures`."""
    recommended: bool
    projector_bytes: int | None = None
    """The part of the size that is a separate vision projector."""
    same_as: tuple[str, ...] = ()
    """Other tags of the family that lead to the same digest, listed here or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogModel:
    """A family of the catalog."""

    name: str
    description: str
    publisher: str | None
    category: str
    categories: tuple[str, ...]
    capabilities: tuple[str, ...]
    license: str | None
    pulls: int | None
    """Popularity on the day of the catalog."""
    updated: str | None
    """Month, approximate."""
    recommended_tag: str | None
    tags: tuple[CatalogTag, ...]
    custom: bool
    """The user's own entry."""
    unchecked: bool
    """Added while the registry could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogSlice:
    """The catalog as the page gets it."""

    as_of: str
    models: tuple[CatalogModel, ...]
    problems: tuple[str, ...]
    """Entries left out, each with the reason."""


# The machine


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """A program that uses the memory of a GPU."""

    pid: int
    name: str | None
    """None where it cannot be known: inside a container the number is one of the host's."""
    used_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU, or one slice of one, of the machine on which this process runs."""

    index: int
    name: str
    uuid: str | None
    total_bytes: int | None
    free_bytes: int | None
    """As the driver reports it, never computed."""
    unified: bool
    """Shares its memory with the CPU."""
    error: str | None
    """Why its memory is unknown."""
    assumed: bool = False
    """The total is a rule of thumb, because the system does not tell it: shown as "about"."""
    library: Literal["cuda", "rocm", "metal", "vulkan"] | None = None
    """What an engine drives it with; None where that is not known."""
    reserved_bytes: int | None = None
    """What the driver keeps for itself."""
    multiprocessors: int | None = None
    """NVIDIA's SMs: what a process takes before it holds anything grows with them."""
    compute_capability: str | None = None
    """NVIDIA's, as `8.9`."""
    slice_of: str | None = None
    """The UUID of the GPU that this is a MIG slice of."""
    visible: bool = True
    """False: the environment of this process hides it from programs started here."""
    processes: tuple[GpuProcess, ...] = ()
    """The largest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """GPUs and RAM of the machine on which this process runs."""

    gpus: tuple[Gpu, ...]
    driver: str | None
    reason: str | None
    """Why there are no GPUs to show, or why some are missing, in words."""
    ram_total_bytes: int
    ram_available_bytes: int
    """The smaller of the machine's and the container's limit."""
    swap_total_bytes: int = 0
    swap_free_bytes: int = 0
    given: bool = False
    """Named by a person, and nobody has looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySample:
    """What was free on each GPU at one moment."""

    at: datetime
    free_bytes: tuple[int | None, ...]
    """In the order of the GPUs; None where a driver did not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDisk:
    """What one model takes of the disk that no other model needs."""

    name: str
    own_bytes: int


# Will it fit


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


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """The disk on which the store lies."""

    used_bytes: int
    """Distinct blobs where the store can be read, else the sum of the model sizes."""
    exact: bool
    """False: shown as "at most", because shared layers could not be told apart."""
    partial_bytes: int | None
    """Unfinished downloads; None where the store cannot be read."""
    free_bytes: int | None
    path: str | None
    models: tuple[ModelDisk, ...] = ()
    """Those that take most, the largest first; none where the store cannot be read."""
    other_models: int = 0
    """How many more there are."""
    other_bytes: int = 0
    """What these take that no other model needs."""
    shared_bytes: int | None = None
    """Blobs that several models need, each once."""
    unused_bytes: int | None = None
    """Blobs of no model: left over, or of a pull that is not finished."""
    damaged: tuple[str, ...] = ()
    """Paths of manifests that cannot be read, whose models no server lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """The server that is asked, and how it is."""

    state: ServiceState
    reason: str | None
    """Why it is not running, with what to do next."""
    url: str
    version: str | None
    kind: Literal["ollama", "embedded", "unknown"]
    local: bool
    """On this machine, so that its disk and GPU are ours."""
    old: str | None
    """Set where the version is older than what is tested: what may be missing."""
    sample_registry: str | None
    """Set where the sample registry on loopback stands in for the real one."""
    viewer: str
    """Whose view this is: `kernel on HOST`."""
    checked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledSlice:
    """The list of models with its age; a list that could not be renewed stays, marked."""

    models: tuple[InstalledModel, ...]
    as_of: datetime | None
    """None: not asked yet."""
    stale: str | None
    """Why the list is older than it should be, in words."""
    deleting: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """How the weights of a model are stored."""

    scheme: str
    """The server's or the catalog's label: `Q4_K_M`."""
    meaning: str | None
    """A sentence; None for a scheme that is not known here."""
    bits_per_weight: float | None
    basis: str | None
    """Where the bits come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLayer:
    """A layer of an installed model, as it lies in the store."""

    media_type: str
    digest: str
    """`sha256:` and 64 hex digits."""
    size_bytes: int
    path: str | None
    """Its file; None where that is missing."""
    shared_with: tuple[str, ...]
    """The other models that use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """Code that uses a model, ready to be copied."""

    title: str
    language: Literal["python", "shell"]
    install: str | None
    """What to install before, as a command."""
    code: str
    note: str | None
    """What must be so before it can work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetails:
    """Everything known of one name, for its details."""

    name: str
    installed: InstalledModel | None
    info: ModelInfo | None
    manifest: Manifest | None
    catalog: CatalogModel | None
    delete_plan: DeletePlan | None
    quantization: Quantization | None = None
    layers: tuple[StoredLayer, ...] = ()
    """Empty where the store cannot be read from here."""
    manifest_path: str | None = None
    problem: str | None = None
    """What is wrong with it, or could not be found out, with what to do next."""
    snippets: tuple[Snippet, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A next step that the page offers as a button: a command and its parameters."""

    label: str
    method: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something the user should know, with what to do about it."""

    id: str
    kind: NoticeKind
    text: str
    actions: tuple[Action, ...]
    at: datetime


_PLAIN = frozenset({str, int, float, bool, type(None)})


def as_json(value: Any) -> Any:
    """Turn records (also inside lists and dicts) into plain JSON values, spelling kept."""
    kind = type(value)
    if kind in _PLAIN:  # nearly all are, and pages are told ten times a second
        return value
    read = _READERS.get(kind) or (_reader(kind) if is_dataclass(kind) else None)
    if read is not None:
        names, values_of = read
        fields_of = zip(names, values_of(value), strict=True)
        return {name: at if type(at) in _PLAIN else as_json(at) for name, at in fields_of}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return value


Reader = tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]
"""The fields of a kind of record, and what reads them all at once."""

_READERS: dict[type, Reader] = {}


def _reader(kind: type) -> Reader:
    names = tuple(field.name for field in fields(kind))
    if len(names) == 1:  # attrgetter would put no tuple around it
        reader: Reader = names, lambda record: (getattr(record, names[0]),)
    else:
        reader = names, attrgetter(*names)
    _READERS[kind] = reader
    return reader
