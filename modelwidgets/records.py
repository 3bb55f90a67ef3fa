"""The records that travel between stores, manager, doors and pages. No logic.

Those of the machine stand in `device_records.py`, those of the fit check in `fit_records.py`.
Every field keeps its spelling in JSON and in `frontend/src/records.ts`; `tests/test_records.py`
compares the two sides. Units stand in the names; sizes are bytes, times are seconds unless named
otherwise, dates are aware `datetime`s (ISO 8601 in JSON). A field is `None` only where the source
really leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # a list of models in a terminal is there sooner without
    from modelwidgets.fit_records import FitMark

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
    fit: FitMark | None = None
    """Whether it would fit into memory; None where that was not looked at."""


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
    owner: str | None = None
    """The other process that runs it, in words; None where it is this one, or none."""


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


# The service, its disk, and what a page shows


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDisk:
    """What one model takes of the disk that no other model needs."""

    name: str
    own_bytes: int


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


DetailsBasis = Literal["server", "list", "catalog", "registry"]
"""The server of the model, only its list, the catalog, or the registry that has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetails:
    """Everything known of one name, for its details."""

    name: str
    installed: InstalledModel | None
    info: ModelInfo | None
    """What the server says of it; None where it is not installed, or could not be read."""
    manifest: Manifest | None
    """From the store of the server; from the registry where only that knows the name."""
    catalog: CatalogModel | None
    """Its family."""
    delete_plan: DeletePlan | None
    tag: CatalogTag | None = None
    """What the catalog says of this very tag, installed or not."""
    basis: DetailsBasis | None = None
    """Who says most of it; None where nobody knows the name."""
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
