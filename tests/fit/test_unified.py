"""GPUs whose memory is the RAM: both are one pool, and nothing in it is counted twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelwidgets.device_records import Devices, Gpu
from modelwidgets.memory.given import devices_from
from modelwidgets.memory.hugging_face import HubModel, TransformersRun
from modelwidgets.memory.hugging_face import place as place_hub
from modelwidgets.memory.judge import Machine, Subject, judged
from modelwidgets.memory.marks import Marker
from modelwidgets.memory.ollama_defaults import OllamaRequest
from modelwidgets.memory.placement import GpuMemory, RamMemory
from modelwidgets.memory.ram import Memory
from modelwidgets.memory.report import report
from tests.fit import rows

GIB = 1 << 30
MODEL = rows.model(rows.HEADERS, "llama3.1-8b-Q8_0")
REQUEST = OllamaRequest(context_length=8192, num_batch=512)


def machine(
    free_gib: float, ram_gib: float, *, library: str = "cuda", swap_gib: float = 0
) -> Devices:
    """A GPU that may use so much of a RAM of which so much is available."""
    total = int(128 * GIB)
    gpu = Gpu(
        index=0,
        name="NVIDIA GB10" if library == "cuda" else "Apple M4",
        uuid=None,
        total_bytes=total,
        free_bytes=int(free_gib * GIB),
        unified=True,
        error=None,
        library=library,  # type: ignore[arg-type]
        multiprocessors=48 if library == "cuda" else None,
    )
    return Devices(
        gpus=(gpu,),
        driver=None,
        reason=None,
        ram_total_bytes=total,
        ram_available_bytes=int(ram_gib * GIB),
        swap_total_bytes=int(swap_gib * GIB),
        swap_free_bytes=int(swap_gib * GIB),
    )


@pytest.mark.parametrize(
    ("free_gib", "ram_gib", "library", "verdict"),
    [
        (100, 100, "cuda", "full"),  # Grace, GB10: the whole RAM
        (12, 12, "cuda", "full"),
        (10, 10, "cuda", "full"),  # 9.4 GiB of it
        (9, 9, "cuda", "no"),  # the part in RAM would be the one that is missing
        (8, 8, "cuda", "no"),  # half on the GPU and half in RAM is all in the same 8 GiB
        (8, 16, "cuda", "partial"),  # a limit on the GPU's part only
        (12, 16, "metal", "full"),
        (12, 9, "metal", "no"),  # the GPU may have 12, but nobody has them
        (8, 16, "metal", "partial"),
        (0.5, 16, "metal", "cpu"),
    ],
)
def test_one_pool_holds_both_parts(
    free_gib: float, ram_gib: float, library: str, verdict: str
) -> None:
    """What lies on the GPU is missing in RAM."""
    devices = machine(free_gib, ram_gib, library=library)

    found = judged(MODEL, REQUEST, Machine.of(devices))

    assert found.run.placement.verdict == verdict


def test_the_same_numbers_on_a_card_of_its_own_fit() -> None:
    """8 GiB on a card and 8 GiB of RAM are 16, on one chip they are 8."""
    shared = machine(8, 8)
    apart = replace(shared, gpus=(replace(shared.gpus[0], unified=False),))

    verdicts = [judged(MODEL, REQUEST, Machine.of(one)).run.placement for one in (apart, shared)]

    assert [one.verdict for one in verdicts] == ["partial", "no"]
    assert verdicts[1].ram_needed_bytes > verdicts[0].ram_needed_bytes + 6 * GIB


def test_swap_of_one_pool_is_said() -> None:
    """What exceeds the pool goes to swap, where there is any."""
    found = report(Subject(name="a:b", model=MODEL, request=REQUEST), machine(8, 8, swap_gib=8))

    assert found.verdict == "partial"
    assert any("swap" in note for note in found.notes)


def test_unloading_frees_the_whole_pool() -> None:
    """A model in memory that may go makes room on the GPU and in RAM, which are one."""
    devices = machine(4, 4)

    kept = judged(MODEL, REQUEST, Machine.of(devices))
    freed = judged(MODEL, REQUEST, Machine.of(devices, freed_bytes=20 * GIB))

    assert [one.run.placement.verdict for one in (kept, freed)] == ["no", "full"]


def test_rows_know_the_pool_too() -> None:
    """The mark of a row agrees with the report."""
    dimensions = {**rows.DIMENSIONS["llama3.1-8b-Q4_K_M"], "context_length": 8192}

    marks = [
        Marker(Machine.of(machine(gib, gib))).mark(dimensions, MODEL.file_bytes).verdict
        for gib in (24, 6)
    ]

    assert marks == ["full", "no"]


def test_a_chip_by_name_brings_its_memory() -> None:
    """`Apple M4 Max 64GB` has 64 GiB and no more, whatever this machine has."""
    here = Memory(total_bytes=8 * GIB, available_bytes=4 * GIB)

    chip = devices_from(["Apple M4 Max 64GB"], machine=here)
    with_ram = devices_from(["Apple M4 Max 64GB"], ram="32GiB", machine=here)

    assert (chip.ram_total_bytes, chip.gpus[0].total_bytes) == (64 * GIB, 48 * GIB)
    assert with_ram.ram_total_bytes == 32 * GIB


def test_transformers_share_the_pool() -> None:
    """The same holds for the formula."""
    model = HubModel(parameters={"BF16": 8 << 30}, config={"num_hidden_layers": 32})
    gpus, ram = [GpuMemory(free_bytes=10 * GIB)], RamMemory(available_bytes=12 * GIB)

    apart = place_hub(model, TransformersRun(), gpus, ram)
    shared = place_hub(model, TransformersRun(), gpus, ram, pooled=True)

    assert (apart.verdict, shared.verdict) == ("partial", "no")
