"""Bytes of the compute buffers of each device.

For an architecture whose graph is known here the graph is drawn and laid out as llama.cpp does it.
Equal layers after another need the same room, so a few that show every neighbourhood are enough.
For any other architecture a formula gives the order of magnitude, and the answer says so.
"""

from __future__ import annotations

from contextlib import suppress

from modelwidgets.memory import formula
from modelwidgets.memory.batch_graph import UnknownGraphError
from modelwidgets.memory.families import KNOWN, draw
from modelwidgets.memory.graph import Graph
from modelwidgets.memory.layout import Layout, RunOptions
from modelwidgets.memory.remembered import ComputeBytes, Sketch
from modelwidgets.memory.scheduler import scheduled, sizes, traits
from modelwidgets.memory.sized_model import SizedModel
from modelwidgets.memory.weights import ModelWeights

_MOST_DRAWN = 256
"""Layers that are unlike each other; twice as many as any model has."""
_ALTERNATING = frozenset(("granitehybrid", "nemotron_h", "nemotron_h_moe"))


def compute_bytes(model: SizedModel, layout: Layout, run: RunOptions) -> ComputeBytes:
    """The compute buffers of `model`, laid out like this and run like this."""
    layers = _telling_layers(model, layout)
    marks = tuple([(model.kinds[nth], layout.layers[nth], layout.moved.get(nth)) for nth in layers])
    where = (marks, layout.output, layout.gpu_count, layout.is_pipelined)
    computed = model.remembered.computed
    found = computed.get((run, where))
    return found or computed.add((run, where), _fresh(model, layout, run, layers, where))


def _fresh(
    model: SizedModel, layout: Layout, run: RunOptions, layers: list[int], where: object
) -> ComputeBytes:
    weights = model.weights
    drawable = model.shape.architecture in KNOWN and 0 < len(layers) <= _MOST_DRAWN
    if weights is not None and drawable:
        with suppress(UnknownGraphError, ZeroDivisionError):  # a tensor or a dimension is missing
            return _drawn(model, weights, layout, run, layers, where)
    gpus, ram = formula.compute_bytes(model, layout, run)
    return ComputeBytes(gpus=gpus, ram=ram, known=False)


def _drawn(
    model: SizedModel,
    weights: ModelWeights,
    layout: Layout,
    run: RunOptions,
    layers: list[int],
    where: object,
) -> ComputeBytes:
    graph: Graph | None = None
    kept = model.remembered
    key = (run, tuple([model.kinds[nth] for nth in layers]))
    sketch = kept.sketches.get(key)
    if sketch is None:
        graph = draw(model.shape, weights, layout, run, layers)
        sketch = Sketch(traits=traits(graph), tensors=sizes(graph))
        kept.sketches.add(key, sketch)
    plans = kept.plans.get((where, sketch.traits))
    if plans is None:
        if graph is None:
            graph = draw(model.shape, weights, layout, run, layers)
        plans = scheduled(graph, gpu_count=layout.gpu_count, pipeline=layout.is_pipelined)
        kept.plans.add((where, sketch.traits), plans)
    *gpus, ram = [plan.top(sketch.tensors) for plan in plans]
    return ComputeBytes(gpus=tuple(gpus), ram=ram, known=True)


def _settles_late(model: SizedModel, layout: Layout) -> bool:
    """Where gaps of many sizes alternate, the buffer still grows after the first round."""
    if model.shape.architecture in _ALTERNATING:
        return True
    return bool(model.shape.window) and layout.gpu_layers <= len(layout.layers)


def _telling_layers(model: SizedModel, layout: Layout) -> list[int]:
    """The first and the last layer, and each pair of neighbours that is unlike those before."""
    if not layout.layers or _settles_late(model, layout):
        return list(range(len(layout.layers)))
    marks = [
        (kind, device, layout.moved.get(nth))
        for nth, (kind, device) in enumerate(zip(model.kinds, layout.layers, strict=True))
    ]
    seen: set[object] = set()
    keep = {0, len(marks) - 1}
    for nth in range(len(marks) - 1):
        pair = (marks[nth], marks[nth + 1])
        if pair not in seen:
            seen.add(pair)
            keep.update((nth, nth + 1))
    return sorted(keep)
