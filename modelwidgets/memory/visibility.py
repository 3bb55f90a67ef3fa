"""Which GPUs the environment of a process leaves to it.

`CUDA_VISIBLE_DEVICES` and AMD's variables of the same kind name GPUs by number or UUID. Drivers
know nothing of them, so what they list is marked here. What counts for a model is the environment
of the server that runs it, which may be another one than ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from modelwidgets.device_records import Gpu

_ROCM = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
"""Each picks from what the ones before it leave; the last two are two names for one thing."""


def marked(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """The same GPUs, with those that are hidden from programs in `environment` marked so."""
    left = [gpu.index for gpu in _cuda(gpus, environment)]
    left += [gpu.index for gpu in _rocm(gpus, environment)]
    kinds = ("cuda", "rocm")
    return tuple(
        replace(gpu, visible=gpu.library not in kinds or gpu.index in left) for gpu in gpus
    )


def _cuda(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> list[Gpu]:
    listed = [gpu for gpu in gpus if gpu.library == "cuda"]
    if environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        # CUDA counts the fastest first, the driver by the slot; cards of one kind keep their order.
        listed.sort(key=_slowness)
    named = environment.get("CUDA_VISIBLE_DEVICES")
    left = listed if named is None else _picked(named, _whole(listed), listed)
    slices = [gpu for gpu in left if gpu.slice_of]
    return [gpu for gpu in left if not gpu.slice_of] + slices[:1]  # CUDA takes one slice at most


def _whole(gpus: Sequence[Gpu]) -> list[Gpu]:
    """What numbers count: GPUs, where the first slice stands for a GPU that is cut."""
    first: dict[str | int, Gpu] = {}
    for gpu in gpus:
        first.setdefault(gpu.slice_of or gpu.index, gpu)
    return list(first.values())


def _slowness(gpu: Gpu) -> tuple[int, ...]:
    major, _, minor = (gpu.compute_capability or "0.0").partition(".")
    return -(gpu.multiprocessors or 0), -int(major), -int(minor)


def _rocm(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> list[Gpu]:
    left = [gpu for gpu in gpus if gpu.library == "rocm"]
    named = [environment[name] for name in _ROCM if name in environment]
    for one in named[:2]:
        left = _picked(one, left, left)
    return left


def _picked(named: str, numbered: Sequence[Gpu], every: Sequence[Gpu]) -> list[Gpu]:
    """The list ends at the first entry that names nothing; `-1` is the usual one."""
    found: list[Gpu] = []
    for word in named.split(","):
        entry = word.strip()
        if entry.isdecimal():
            matches = list(numbered[int(entry) : int(entry) + 1]) if len(entry) < 6 else []
        else:
            matches = [gpu for gpu in every if entry and _is(gpu, entry)]
        if len(matches) != 1 or matches[0] in found:
            break
        found += matches
    return found


def _is(gpu: Gpu, entry: str) -> bool:
    return (gpu.uuid or "").lower().startswith(entry.lower())
