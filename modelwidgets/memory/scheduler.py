"""How GGML spreads a graph over devices and lays it out in one buffer for each.

An operation runs where its weights lie. Weights in RAM are the exception: for a large batch a GPU
takes the operation and gets a copy of the weights for as long as it needs it, which is why a model
that is only partly on the GPU has larger buffers there. What crosses from one device to another
is copied into the buffer of the receiver. With several GPUs and nothing in RAM, the copies of the
inputs are kept four times, so that the GPUs work on four batches at once.

A tensor gives its place back after its last reader, and may take over the place of an operand. Who
does so when is the same for every context, so that it is worked out once (`scheduled`), and
`buffers.py` lays out the sizes of each.

Source: ggml-org/llama.cpp, build b11434, `ggml/src/ggml-backend.cpp` (split and copies) and
`ggml/src/ggml-alloc.c` (reuse).
"""

from __future__ import annotations

from modelwidgets.memory.buffers import BufferPlan, Step, TensorSize
from modelwidgets.memory.graph import IN_PLACE, Graph, Node

_WORTH_THE_TRANSFER = 32
"""Rows from which a GPU takes an operation whose weights lie in RAM."""
_PIPELINE_COPIES = 4
_FOR_EVER = 1 << 40
"""Readers that never come."""
_Work = tuple[Node | None, int, tuple[Node, ...]]
"""Node, device, operands (copies instead of what lies elsewhere); without a node it only reads."""


def scheduled(graph: Graph, *, gpu_count: int, pipeline: bool = False) -> tuple[BufferPlan, ...]:
    """The plan for the buffer of each GPU, then of the RAM; it holds for graphs of like traits."""
    split = _Split(graph, gpu_count, copies=_PIPELINE_COPIES if pipeline else 1)
    return _Plans(graph, gpu_count).made(split)


def traits(graph: Graph) -> tuple[object, ...]:
    """All that decides a plan besides devices: what is done, and who may take over whose place.

    Only graphs of the same model and the same layers are to be compared.
    """
    found: list[object] = []
    for node in graph.nodes:
        found.append(node.op)
        if node.op in IN_PLACE:
            found.extend([node.is_laid_out_like(source) for source in node.sources])
        if any(source.weight for source in node.sources):
            found.append(node.rows >= _WORTH_THE_TRANSFER)
    return tuple(found)


def sizes(graph: Graph) -> list[TensorSize]:
    """What each tensor takes, in the order by which a plan numbers them."""
    return [(node.bytes_, node.padding_bytes, node.extra_bytes) for node in _numbered(graph)]


def _numbered(graph: Graph) -> list[Node]:
    """Weights by who reads them: whether two readers share a node depends on where they lie."""
    nodes = graph.nodes
    inputs = [node for node in graph.leaves if node.buffer is None]
    stored = [source for node in nodes for source in node.sources if source.buffer is not None]
    return [*nodes, *inputs, *stored]


class _Split:
    """Which device runs what, and the steps in order with the copies between devices."""

    def __init__(self, graph: Graph, gpu_count: int, *, copies: int) -> None:
        self._ram = gpu_count
        self._copy_count = copies
        self.copied: dict[int, Node] = {}
        """What each copy is a copy of."""
        self.leaves: list[tuple[Node, int]] = []
        self.steps: list[_Work] = []
        self._assign(graph)
        self._cut(graph)

    def _supports(self, device: int, node: Node) -> bool:
        """A GPU cannot read the buffers of another GPU."""
        if device == self._ram:
            return True
        for source in node.sources:
            buffer = source.root.buffer
            if buffer is not None and buffer not in (device, self._ram):
                return False
        return True

    def _home(self, node: Node) -> int | None:
        if node.root.buffer is not None:
            return node.root.buffer
        if node.is_input:
            return self._ram
        if node.op in ("rope", "flash_attn"):
            return None
        for source in node.sources:
            if source.weight:
                if source.buffer == self._ram and node.rows >= _WORTH_THE_TRANSFER:
                    for gpu in range(self._ram):
                        if self._supports(gpu, node):
                            return gpu
                return source.buffer
        return None

    def _assign(self, graph: Graph) -> None:
        for part in (graph.leaves, graph.nodes):
            for node in part:
                node.on = self._home(node)
        real = [node for node in graph.nodes if not node.is_view_op]
        backwards = real[::-1]
        for order, spread_ram in ((real, 0), (backwards, 0), (real, 1), (backwards, 1)):
            current = None
            for node in order:
                found = node.on
                if found is not None:
                    current = found if spread_ram or found != self._ram else None
                elif current is not None and self._supports(current, node):
                    node.on = current
        for node in real:
            if node.on is None:
                node.on = next(d for d in range(self._ram + 1) if self._supports(d, node))
        for node in graph.nodes:
            if node.on is None:
                node.on = 0 if node.view_of is None else node.view_of.on or 0

    def _cut(self, graph: Graph) -> None:
        """Cut at each change of device; weights copied for one operation end with it."""
        copies: dict[tuple[int, int], Node] = {}
        all_inputs: list[tuple[Node, int]] = []
        current: int | None = None
        splits: list[tuple[list[tuple[Node, Node]], list[_Work]]] = []
        for node in graph.nodes:
            if node.is_view_op:
                continue
            device = node.on or 0
            fresh = current is not None and device != current
            if device == current and splits[-1][0]:
                fresh = any(source.weight and source.on != device for source in node.sources)
            if fresh or not splits:
                splits.append(([], []))
            current = device
            inputs, steps = splits[-1]
            operands = node.sources
            for nth, source in enumerate(operands):
                if source.on != device:
                    copy = copies.get((id(source), device))
                    if copy is None:
                        copy = self._copy(source)
                        copies[id(source), device] = copy
                        inputs.append((source, copy))
                        all_inputs.append((copy, device))
                    operands = (*operands[:nth], copy, *operands[nth + 1 :])
            steps.append((node, device, operands))
        if self._copy_count > 1:
            self._keep_copies(graph, all_inputs)
        self.leaves.extend((node, node.on or 0) for node in graph.leaves if node.buffer is None)
        for inputs, steps in splits:
            device = steps[0][1]
            for source, copy in inputs:
                self.steps.append((None, source.on or 0, (source,)))
                self.steps.append((copy, device, ()))
            self.steps.extend(steps)

    def _keep_copies(self, graph: Graph, all_inputs: list[tuple[Node, int]]) -> None:
        """Each input of the graph and each copy exists once for every batch under way."""
        for node in graph.leaves:
            if node.is_input:
                self._keep(node, self._ram)
        for copy, device in all_inputs:
            self._keep(copy, device)

    def _keep(self, node: Node, device: int) -> None:
        for nth in range(self._copy_count):
            twin = node if nth == 0 else self._copy(node)
            twin.is_output = True
            self.leaves.append((twin, device))

    def _copy(self, source: Node) -> Node:
        node = Node("leaf", source.shape, dtype=source.dtype, strides=source.strides)
        self.copied[id(node)] = self.copied.get(id(source), source)
        return node


class _Plans:
    """Walks the steps and notes for each device which places are taken and given back."""

    def __init__(self, graph: Graph, gpu_count: int) -> None:
        self._nodes = graph.nodes
        self._numbers = {id(node): nth for nth, node in enumerate(_numbered(graph))}
        self._tensors: list[list[tuple[int, bool]]] = [[] for _ in range(gpu_count + 1)]
        self._steps: list[list[Step]] = [[] for _ in range(gpu_count + 1)]

    def made(self, split: _Split) -> tuple[BufferPlan, ...]:
        self._count(split)
        for node, device in split.leaves:
            self._hold(node, device, (), split.copied)
        for step, device, operands in split.steps:
            if step is not None and step.view_of is None:
                self._hold(step, device, operands, split.copied)
            for operand in operands:
                root = operand.view_of or operand
                if root.buffer is None:
                    root.readers -= 1
                    if root.readers == 0 and root.held and not root.is_output:
                        root.held = False
                        self._steps[root.on or 0].append((root.slot, -1))
        ram = len(self._steps) - 1
        return tuple(
            BufferPlan(on_gpu=device < ram, tensors=tuple(tensors), steps=tuple(steps))
            for device, (tensors, steps) in enumerate(zip(self._tensors, self._steps, strict=True))
        )

    def _count(self, split: _Split) -> None:
        """Who reads what; a view that nobody reads holds its root for ever."""
        read: set[int] = set()
        for _, _, operands in split.steps:
            for operand in operands:
                if operand.view_of is None:
                    operand.readers += 1
                else:
                    operand.view_of.readers += 1
                    read.add(id(operand))
        for node in self._nodes:
            if node.is_view_op:
                read.update(map(id, node.sources))
        for node in self._nodes:
            if node.view_of is not None and id(node) not in read:
                node.view_of.readers += _FOR_EVER

    def _hold(
        self, node: Node, device: int, operands: tuple[Node, ...], copied: dict[int, Node]
    ) -> None:
        if node.held:
            return
        source = copied.get(id(node))
        number = self._numbers[id(node if source is None else source)]
        owner = self._owner(node, operands) if node.op in IN_PLACE else None
        if owner is not None:
            device = owner.on or 0
            owner.held = False
        tensors = self._tensors[device]
        node.held, node.on, node.slot = True, device, len(tensors)
        tensors.append((number, source is not None))
        self._steps[device].append((node.slot, None if owner is None else owner.slot))

    def _owner(self, node: Node, operands: tuple[Node, ...]) -> Node | None:
        """The operand whose place the result may have, being its last reader."""
        for operand in operands:
            if (
                operand.readers == 1
                and operand.held
                and operand.view_of is None
                and not operand.is_output
                and node.is_laid_out_like(operand)
            ):
                return operand
        return None
