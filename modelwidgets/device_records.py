"""The records of the machine: its GPUs, its RAM, and how their use went. No logic.

What `records.py` says of fields and units holds here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


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
