"""What Ollama chooses when nobody says, by its own rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelwidgets.memory.ollama_defaults import (
    OllamaGpu,
    OllamaModel,
    OllamaRequest,
    batch_size,
    chosen_gpus,
    default_context,
    next_lower_context,
    settle,
)
from modelwidgets.memory.placement import RamMemory
from modelwidgets.memory.remembered import Remembered
from modelwidgets.memory.sized_model import SizedModel
from tests.fit import rows

GIB = 1 << 30


def gpu(total_gib: float, free_gib: float | None = None, **other: object) -> OllamaGpu:
    free = total_gib if free_gib is None else free_gib
    return OllamaGpu(total_bytes=int(total_gib * GIB), free_bytes=int(free * GIB), **other)  # type: ignore[arg-type]


def known(name: str) -> SizedModel:
    return rows.model(rows.HEADERS, name)


@pytest.mark.parametrize(
    ("gpus", "context"),
    [
        ([], 4096),
        ([gpu(8)], 4096),
        ([gpu(22.9)], 4096),
        ([gpu(23.5, 1)], 32768),
        ([gpu(24), gpu(24)], 262144),
        ([gpu(46.9)], 32768),
    ],
)
def test_context_follows_the_memory_there_is_not_what_is_free(
    gpus: list[OllamaGpu], context: int
) -> None:
    """The steps lie at 23 and 47 GiB of all GPUs together."""
    assert default_context(gpus) == context


def test_a_context_of_its_own_choice_steps_down() -> None:
    """262144 falls to 32768, that to 4096, and then there is nothing lower."""
    assert [next_lower_context(one) for one in (262144, 32768, 4096)] == [32768, 4096, None]


def test_the_predictor_ignores_sliding_windows() -> None:
    """Gemma 3 keeps most layers short, yet Ollama counts every layer in full."""
    model = known("gemma3-4b-Q4_K_M")

    predicted = OllamaModel.of(model).predicted_bytes(131072)

    width = 2560 // 8
    assert predicted == model.file_bytes + 2 * 34 * 4 * width * 131072 * 2


@pytest.mark.parametrize(
    ("context", "predicted_gib", "free_gib", "flash", "batch"),
    [
        (4096, 5, 24, True, 512),
        (8192, 5, 24, True, 1024),
        (65536, 5, 24, True, 2048),
        (65536, 15, 24, True, 1024),
        (65536, 18.5, 24, True, 512),
        (8192, 5, 24, False, 512),
        (8192, 5, 8, False, 256),
    ],
)
def test_batch_grows_with_the_context_while_there_is_room(
    context: int, predicted_gib: float, free_gib: float, flash: bool, batch: int
) -> None:
    """2048 above 32768 tokens, 1024 above 4096, less where it would be tight."""
    gpus = [gpu(free_gib)]

    found = batch_size(context, int(predicted_gib * GIB), gpus, flash_attention=flash)

    assert found == batch


def test_one_gpu_is_used_if_a_fifth_of_it_stays_free() -> None:
    """The one with most free memory, discrete before integrated, else all of one library."""
    gpus = [gpu(24, 10), gpu(24, 20), gpu(64, integrated=True)]

    assert chosen_gpus(int(7.9 * GIB), gpus) == (1,)
    assert chosen_gpus(int(16.1 * GIB), gpus[:2]) == (0, 1)
    assert chosen_gpus(int(7.9 * GIB), gpus[:2], spread=True) == (0, 1)
    assert chosen_gpus(int(30 * GIB), [*gpus[:2], gpu(8, library="ROCm")]) == (0, 1)
    assert chosen_gpus(int(30 * GIB), gpus, ram_bytes=8 * GIB) == (0, 1, 2)


def test_some_families_answer_one_request_at_a_time() -> None:
    """LFM2 is held to one sequence, whatever the server is set to."""
    request = OllamaRequest(context_length=8192, num_parallel=4)

    lfm = settle(known("lfm2-1.2b-Q4_K_M"), request, [gpu(24)])
    llama = settle(known("llama3.1-8b-Q4_K_M"), request, [gpu(24)])

    assert (lfm.num_parallel, lfm.run.cache.context_tokens) == (1, 8192)
    assert (llama.num_parallel, llama.run.cache.context_tokens) == (4, 32768)


def test_context_is_capped_to_what_the_model_was_built_for() -> None:
    """Phi 3 mini ends at 4096 tokens."""
    found = settle(known("phi3-mini-Q4_K_M"), OllamaRequest(context_length=32768), [gpu(24)])

    assert found.context_length == 4096


def test_the_context_of_the_engine_decides_at_the_border() -> None:
    """Free memory read before the start is not what the engine will find."""
    model = known("llama3.1-8b-Q8_0")
    request = OllamaRequest(context_length=8192, num_batch=512)
    tight = settle(model, request, [gpu(9.7)])
    with_context = settle(model, request, [gpu(9.7, context_bytes=380 << 20)])

    assert tight.placement.verdict == "full"
    assert with_context.placement.verdict == "partial"
    assert with_context.placement.fits_when_forced


def test_demanded_layers_are_not_moved() -> None:
    """`num_gpu` 0 leaves the GPU alone; another number is taken as it is."""
    model = known("llama3.1-8b-Q4_K_M")
    ram = RamMemory(available_bytes=32 * GIB)

    none = settle(model, OllamaRequest(num_gpu=0), [gpu(24)], ram)
    ten = settle(model, OllamaRequest(num_gpu=10), [gpu(24)], ram)

    assert (none.placement.verdict, none.placement.gpu_layers) == ("cpu", 0)
    assert (ten.placement.verdict, ten.placement.gpu_layers) == ("partial", 10)


def test_a_projector_is_budgeted_with_its_work() -> None:
    """Its file and a GiB go on the GPU where there is room, and the margin grows by as much."""
    plain = known("gemma3-4b-Q4_K_M")
    seeing = replace(plain, projector_bytes=851 << 20, remembered=Remembered())
    request = OllamaRequest(context_length=8192)

    roomy = settle(seeing, request, [gpu(24)])
    tight = settle(seeing, request, [gpu(1.5)], RamMemory(available_bytes=16 * GIB))

    assert [term.gpu for term in roomy.placement.estimate.terms if term.part == "projector"] == [0]
    assert [term.gpu for term in tight.placement.estimate.terms if term.part == "projector"] == [
        None
    ]
    without = settle(plain, request, [gpu(4.5)])
    with_it = settle(seeing, request, [gpu(4.5)])
    assert with_it.placement.gpu_layers < without.placement.gpu_layers
