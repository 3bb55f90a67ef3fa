"""Which GPUs an environment leaves: numbers, UUIDs, slices, orders, and lists that end early."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelwidgets.device_records import Gpu
from modelwidgets.memory.visibility import marked


def gpu(index: int, **more: Any) -> Gpu:
    return Gpu(
        index=index,
        name=f"GPU {index}",
        uuid=f"GPU-{index}aaa-bbbb",
        total_bytes=1,
        free_bytes=1,
        unified=False,
        error=None,
        **{"library": "cuda", "multiprocessors": 10, "compute_capability": "8.9", **more},
    )


ALIKE = (gpu(0), gpu(1), gpu(2))
MIXED = (
    gpu(0, multiprocessors=34),
    gpu(1, multiprocessors=128),
    gpu(2, multiprocessors=82, compute_capability="8.6"),
)


def visible(gpus: tuple[Gpu, ...], **environment: str) -> list[int]:
    return [one.index for one in marked(gpus, environment) if one.visible]


@pytest.mark.parametrize(
    ("named", "left"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("-1", []),
        ("1", [1]),
        ("2,0", [0, 2]),
        (" 2 , 0 ", [0, 2]),
        ("0,9,1", [0]),
        ("0,-1,1", [0]),
        ("0,0,1", [0]),
        ("GPU-1aaa-bbbb", [1]),
        ("gpu-1a", [1]),
        ("GPU-,1", []),
        ("GPU-7,1", []),
        ("none", []),
        ("99999999999999999999", []),
        ("1\u00b2", []),
    ],
)
def test_what_a_list_leaves(named: str | None, left: list[int]) -> None:
    """Numbers or starts of UUIDs; the list ends at the first entry that names no one GPU."""
    environment = {} if named is None else {"CUDA_VISIBLE_DEVICES": named}

    assert visible(ALIKE, **environment) == left


def test_numbers_count_the_fastest_first() -> None:
    """CUDA counts by speed where the driver counts by slot, unless it is told to do so too."""
    assert visible(MIXED, CUDA_VISIBLE_DEVICES="0") == [1]
    assert visible(MIXED, CUDA_VISIBLE_DEVICES="0,1") == [1, 2]
    assert visible(MIXED, CUDA_VISIBLE_DEVICES="0", CUDA_DEVICE_ORDER="PCI_BUS_ID") == [0]


def test_one_slice_at_the_most() -> None:
    """A program gets one slice: the named one, or the first of a GPU that is cut."""
    gpus = (
        gpu(0, slice_of="GPU-x"),
        replace(gpu(1, slice_of="GPU-x"), uuid="MIG-1111"),
        replace(gpu(2), uuid="GPU-2"),
    )
    environment = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}

    assert visible(gpus, **environment) == [0, 2]
    assert visible(gpus, **environment, CUDA_VISIBLE_DEVICES="MIG-1") == [1]
    assert visible(gpus, **environment, CUDA_VISIBLE_DEVICES="0") == [0]
    assert visible(gpus, **environment, CUDA_VISIBLE_DEVICES="1") == [2]


def test_amds_variables_pick_one_after_the_other() -> None:
    """The second counts what the first leaves; neither touches other vendors' GPUs."""
    gpus = (gpu(0), *(gpu(index, library="rocm") for index in (1, 2, 3)), gpu(4, library="vulkan"))

    assert visible(gpus, ROCR_VISIBLE_DEVICES="1,2") == [0, 2, 3, 4]
    assert visible(gpus, ROCR_VISIBLE_DEVICES="1,2", HIP_VISIBLE_DEVICES="1") == [0, 3, 4]
    assert visible(gpus, GPU_DEVICE_ORDINAL="0") == [0, 1, 4]
    assert visible(gpus, CUDA_VISIBLE_DEVICES="-1", HIP_VISIBLE_DEVICES="-1") == [4]
