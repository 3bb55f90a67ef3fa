"""What a model needs on each device, term by term, for a layout that is given.

Only arithmetic: sizes come with the `SizedModel`, free memory is the business of the placement.

Sources: `weights.py`, `kv_cache.py` and `compute.py` name theirs. The buffer of the output lies in
RAM: a row of logits for each sequence (ggml-org/llama.cpp, build b11434, `src/llama-context.cpp`).
A projector is budgeted with its file and 1 GiB for its own graph, as Ollama does
(ollama/ollama, `llm/llama_server.go`); an adapter with its file, on the layers that it patches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelwidgets.fit_records import MemoryBasis, MemoryEstimate, MemoryPart, MemoryTerm
from modelwidgets.memory import formula
from modelwidgets.memory.compute import compute_bytes
from modelwidgets.memory.kv_cache import attention_bytes, state_bytes
from modelwidgets.memory.layout import Layout, RunOptions
from modelwidgets.memory.remembered import ComputeBytes
from modelwidgets.memory.sized_model import SizedModel
from modelwidgets.memory.weights import gpu_bytes, ram_bytes

PROJECTOR_WORK_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBytes:
    """The parts that llama.cpp lays out on one device; the sum is what its `--fit` compares."""

    weights: int
    attention: int
    state: int
    compute: int

    @property
    def total(self) -> int:
        return self.weights + self.attention + self.state + self.compute


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBytes:
    """What lies on each device as long as the model is loaded, GPUs first, then the RAM."""

    weights: list[int]
    attention: list[int]
    state: list[int]

    def total(self, device: int) -> int:
        return self.weights[device] + self.attention[device] + self.state[device]


def held_bytes(model: SizedModel, layout: Layout, run: RunOptions) -> HeldBytes:
    """All but the compute buffers, which take far longer to find."""
    devices = range(layout.gpu_count + 1)
    attention, state = [0 for _ in devices], [0 for _ in devices]
    by_kind: dict[tuple[int, bool], tuple[int, int]] = {}
    for device, layer in zip(layout.layers, model.shape.layers, strict=False):
        on_gpu = device < layout.gpu_count
        key = (id(layer), on_gpu)
        found = by_kind.get(key)
        if found is None:
            found = by_kind[key] = (
                attention_bytes(model.shape, layer, run.cache, on_gpu=on_gpu),
                state_bytes(model.shape, layer, run.cache),
            )
        attention[device] += found[0]
        state[device] += found[1]
    return HeldBytes(weights=_weights(model, layout), attention=attention, state=state)


def device_bytes(
    model: SizedModel, layout: Layout, run: RunOptions
) -> tuple[list[DeviceBytes], ComputeBytes]:
    """The parts on each GPU, then in RAM; and how well the compute buffers are known."""
    held = held_bytes(model, layout, run)
    compute = compute_bytes(model, layout, run)
    parts = [
        DeviceBytes(
            weights=held.weights[device],
            attention=held.attention[device],
            state=held.state[device],
            compute=needed,
        )
        for device, needed in enumerate((*compute.gpus, compute.ram))
    ]
    return parts, compute


def estimate(
    model: SizedModel,
    layout: Layout,
    run: RunOptions,
    *,
    projector_gpu: int | None = None,
) -> MemoryEstimate:
    """All terms, but for what a program takes of a GPU besides (`overhead.py`)."""
    parts, compute = device_bytes(model, layout, run)
    sizes: MemoryBasis = model.basis
    computed: MemoryBasis = sizes if compute.known else "guess"
    terms: list[MemoryTerm] = []
    for device, part in enumerate(parts):
        gpu = device if device < layout.ram else None
        shares: list[tuple[MemoryPart, int, MemoryBasis]] = [
            ("weights", part.weights, sizes),
            ("kv_cache", part.attention, sizes),
            ("recurrent_state", part.state, sizes),
            ("compute", part.compute, computed),
        ]
        if gpu is None:
            shares.append(("output", 4 * model.shape.vocabulary * run.outputs, sizes))
        if model.projector_bytes and projector_gpu == gpu:
            work = PROJECTOR_WORK_BYTES
            shares.append(("projector", model.projector_bytes + work, "guess"))
        if model.adapter_bytes and layout.layers:
            patched = sum(one == device for one in layout.layers)
            shares.append(("adapter", model.adapter_bytes * patched // len(layout.layers), "guess"))
        terms.extend(
            MemoryTerm(part=name, gpu=gpu, size_bytes=size, basis=basis)
            for name, size, basis in shares
            if size
        )
    total = sum(term.size_bytes for term in terms)
    guessed = 0 if compute.known else sum(compute.gpus) + compute.ram
    low, high = formula.RANGE
    return MemoryEstimate(
        terms=tuple(terms),
        total_bytes=total,
        least_bytes=total - int(guessed * (1 - low)),
        most_bytes=total + int(guessed * (high - 1)),
        known_architecture=compute.known,
    )


def _weights(model: SizedModel, layout: Layout) -> list[int]:
    found = [0] * (layout.gpu_count + 1)
    ram = layout.ram
    for device, on_gpu, in_ram in zip(
        layout.layers, model.layer_bytes, model.layer_ram_bytes, strict=True
    ):
        found[device] += in_ram if device == ram else on_gpu
    for nth, (pattern, there) in layout.moved.items():
        away, arrived = _moved_bytes(model, nth, pattern)
        found[layout.layers[nth]] -= away
        found[there] += away if there < ram else arrived
    output_in_ram = layout.output == ram
    found[layout.output] += model.output_ram_bytes if output_in_ram else model.output_bytes
    found[ram] += model.input_bytes
    for device in set(layout.layers):
        found[device] += model.shared_bytes
    return found


def _moved_bytes(model: SizedModel, nth: int, pattern: re.Pattern[str]) -> tuple[int, int]:
    """Of what a pattern chooses: bytes on a GPU, and in RAM."""
    if model.weights is None:
        return model.expert_bytes[nth], model.expert_bytes[nth]
    moved = model.remembered.moved
    key = (model.kinds[nth], pattern)
    found = moved.get(key)
    if found is None:
        layer = model.weights.layers[nth]
        chosen = [weight for name, weight in layer.items() if pattern.match(name)]
        found = moved.add(key, (gpu_bytes(chosen), ram_bytes(chosen)))
    return found
