"""How GGML spreads a graph over devices and lays it out in one buffer for each.

An operation runs where its weights lie. Weights in RAM are the exception: for a large batch a GPU
takes the operation and gets a copy of the weights for as long as it needs it, which is why a model
that is only partly on the GPU has larger buffers there. What crosses from one device to another
is copied into the buffer of the receiver. With several GPUs and nothing in RAM, the copies of the
inputs are kept four times, so that the GPUs work on four batches at once.

Within a buffer a tensor takes the tightest gap that holds it, gives it back after its last reader,
and may take over the place of an operand.

Source: ggml-org/llama.cpp, build b11434, `ggml/src/ggml-backend.cpp` (split and copies) and
`ggml/src/ggml-alloc.c` (gaps and reuse).
"""

from __future__ import annotations

from bisect import bisect_left

from modelwidgets.memory.graph import IN_PLACE, Graph, Node

_GPU_ALIGNMENT = 128
_RAM_ALIGNMENT = 32
_WORTH_THE_TRANSFER = 32
"""Rows from which a GPU takes an operation whose weights lie in RAM."""
_PIPELINE_COPIES = 4


def buffer_bytes(graph: Graph, *, gpu_count: int, pipeline: bool = False) -> list[int]:
    """Bytes of the compute buffer of each GPU, then of the RAM."""
    split = _Split(graph, gpu_count, copies=_PIPELINE_COPIES if pipeline else 1)
    layout = _Layout(gpu_count)
    layout.run(split)
    return [buffer.top for buffer in layout.buffers]


class _Split:
    """Which device runs what, and the steps in order with the copies between devices."""

    def __init__(self, graph: Graph, gpu_count: int, *, copies: int) -> None:
        self._ram = gpu_count
        self._copy_count = copies
        self._on: dict[int, int] = {}
        self.leaves: list[tuple[Node, int]] = []
        self.steps: list[tuple[Node, int, tuple[Node, ...]]] = []
        """Node, device, operands (copies instead of what lies elsewhere)."""
        self._assign(graph)
        self._cut(graph)

    def _supports(self, device: int, node: Node) -> bool:
        """A GPU cannot read the buffers of another GPU."""
        if device == self._ram:
            return True
        for source in node.sources:
            buffer = source.buffer if source.view_of is None else source.view_of.buffer
            if buffer is not None and buffer not in (device, self._ram):
                return False
        return True

    def _home(self, node: Node) -> int | None:
        root = node if node.view_of is None else node.view_of
        if root.buffer is not None:
            return root.buffer
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
        on = self._on
        for node in (*graph.leaves, *graph.nodes):
            home = self._home(node)
            if home is not None:
                on[id(node)] = home
        real = [node for node in graph.nodes if not node.is_view_op]
        backwards = real[::-1]
        for order, spread_ram in ((real, 0), (backwards, 0), (real, 1), (backwards, 1)):
            current = None
            for node in order:
                found = on.get(id(node))
                if found is not None:
                    current = found if spread_ram or found != self._ram else None
                elif current is not None and self._supports(current, node):
                    on[id(node)] = current
        for node in real:
            if id(node) not in on:
                on[id(node)] = next(d for d in range(self._ram + 1) if self._supports(d, node))
        for node in graph.nodes:
            if id(node) not in on and node.view_of is not None and id(node.view_of) in on:
                on[id(node)] = on[id(node.view_of)]
            for source in node.sources:
                if id(source) not in on:
                    root = source.view_of
                    on[id(source)] = on.get(id(root), -1) if root is not None else on[id(node)]
            if id(node) not in on:
                on[id(node)] = 0

    def _readable(self, node: Node, device: int) -> bool:
        root = node if node.view_of is None else node.view_of
        buffer = root.buffer
        if buffer is None:
            buffer = self._on[id(node)]
        return buffer == device

    def _cut(self, graph: Graph) -> None:
        """Cut at each change of device; weights copied for one operation end with it."""
        on = self._on
        copied: dict[tuple[int, int], Node] = {}
        all_inputs: list[tuple[Node, int]] = []
        current: int | None = None
        splits: list[tuple[list[tuple[Node, Node]], list[tuple[Node, int, tuple[Node, ...]]]]] = []
        for node in graph.nodes:
            if node.is_view_op:
                if splits:
                    splits[-1][1].append((node, on[id(node)], node.sources))
                else:
                    splits.append(([], [(node, on[id(node)], node.sources)]))
                continue
            device = on[id(node)]
            fresh = current is not None and device != current
            if device == current and splits[-1][0]:
                fresh = any(
                    source.weight and not self._readable(source, device) for source in node.sources
                )
            if fresh or not splits:
                splits.append(([], []))
            current = device
            inputs, steps = splits[-1]
            operands = list(node.sources)
            for nth, source in enumerate(operands):
                if on[id(source)] != device and not self._readable(source, device):
                    copy = copied.get((id(source), device))
                    if copy is None:
                        copy = _copy(source)
                        copied[(id(source), device)] = copy
                        inputs.append((source, copy))
                        all_inputs.append((copy, device))
                    operands[nth] = copy
            steps.append((node, device, tuple(operands)))
        if self._copy_count > 1:
            self._keep_copies(graph, all_inputs)
        self.leaves.extend((node, on[id(node)]) for node in graph.leaves if id(node) in on)
        for inputs, steps in splits:
            device = next((step[1] for step in steps if not step[0].is_view_op), 0)
            for source, copy in inputs:
                mark = Node("none", source.shape, (source,), dtype=source.dtype, view_of=source)
                self.steps.append((mark, on[id(source)], (source,)))
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
            twin = node if nth == 0 else _copy(node)
            twin.is_output = True
            self.leaves.append((twin, device))


def _copy(source: Node) -> Node:
    node = Node("leaf", source.shape, dtype=source.dtype, strides=source.strides)
    node.bytes_ = source.bytes_
    node.padding_bytes = source.padding_bytes
    return node


class _Buffer:
    """The memory of one device as gaps between tensors; it grows at its end."""

    __slots__ = ("alignment", "sizes", "starts", "top")

    def __init__(self, alignment: int) -> None:
        self.alignment = alignment
        self.starts = [0]
        self.sizes = [1 << 62]
        self.top = 0

    def round(self, size: int) -> int:
        return -(-size // self.alignment) * self.alignment

    def take(self, size: int) -> int:
        best, best_size = len(self.sizes) - 1, 1 << 63
        for nth in range(len(self.sizes) - 1):
            if size <= self.sizes[nth] <= best_size:
                best, best_size = nth, self.sizes[nth]
        start = self.starts[best]
        if self.sizes[best] == size:
            del self.starts[best], self.sizes[best]
        else:
            self.starts[best] += size
            self.sizes[best] -= size
        self.top = max(self.top, start + size)
        return start

    def give_back(self, start: int, size: int) -> None:
        """Join what is freed with the gap before or behind it; even nothing may become a gap."""
        starts, sizes = self.starts, self.sizes
        end = start + size
        for nth, gap in enumerate(starts):
            if gap + sizes[nth] == start:
                sizes[nth] += size
                if nth + 1 < len(starts) and gap + sizes[nth] == starts[nth + 1]:
                    sizes[nth] += sizes[nth + 1]
                    del starts[nth + 1], sizes[nth + 1]
                return
            if gap == end:
                starts[nth] = start
                sizes[nth] += size
                if nth and starts[nth - 1] + sizes[nth - 1] == start:
                    sizes[nth - 1] += sizes[nth]
                    del starts[nth], sizes[nth]
                return
        nth = bisect_left(starts, start)
        starts.insert(nth, start)
        sizes.insert(nth, size)


class _Place:
    """Where a tensor lies, and who still needs it."""

    __slots__ = ("device", "held", "readers", "size", "start", "views")

    def __init__(self) -> None:
        self.readers = 0
        self.views = 0
        self.held = False
        self.device = 0
        self.start = 0
        self.size = 0


class _Layout:
    """Walks the steps and keeps count of the gaps."""

    def __init__(self, gpu_count: int) -> None:
        self._ram = gpu_count
        self.buffers = [_Buffer(_GPU_ALIGNMENT) for _ in range(gpu_count)]
        self.buffers.append(_Buffer(_RAM_ALIGNMENT))
        self._places: dict[int, _Place] = {}

    def run(self, split: _Split) -> None:
        places = self._places
        for node, device in split.leaves:
            places.setdefault(id(node), _Place())
            self._allocate(node, device, ())
        for node, device, operands in split.steps:
            places.setdefault(id(node), _Place())
            if node.view_of is not None and node.op != "none":
                places.setdefault(id(node.view_of), _Place()).views += 1
            for operand in operands:
                places.setdefault(id(operand), _Place()).readers += 1
                if operand.is_input:
                    self._allocate(operand, device, ())
        for node, device, operands in split.steps:
            for operand in operands:
                self._allocate(operand, device, ())
            self._allocate(node, device, operands)
            for operand in operands:
                self._read(operand)

    def _size(self, node: Node, device: int) -> int:
        size = node.bytes_
        if device != self._ram:
            size += node.padding_bytes + node.extra_bytes
        return self.buffers[device].round(size)

    def _allocate(self, node: Node, device: int, operands: tuple[Node, ...]) -> None:
        if node.buffer is not None or node.view_of is not None:
            return
        place = self._places[id(node)]
        if place.held:
            return
        place.held = True
        if node.op in IN_PLACE and self._take_over(node, place, operands):
            return
        place.device = device
        place.size = self._size(node, device)
        place.start = self.buffers[device].take(place.size)

    def _take_over(self, node: Node, place: _Place, operands: tuple[Node, ...]) -> bool:
        layout = node.layout
        for operand in operands:
            if operand.view_of is not None or operand.is_output or operand.layout != layout:
                continue
            owner = self._places[id(operand)]
            if not owner.held or owner.readers != 1 or owner.views:
                continue
            size = self._size(node, owner.device)
            place.device, place.start, place.size = owner.device, owner.start, size
            owner.held = False
            if owner.size > size:
                self.buffers[owner.device].give_back(owner.start + size, owner.size - size)
            return True
        return False

    def _read(self, operand: Node) -> None:
        place = self._places[id(operand)]
        place.readers -= 1
        if place.readers or place.views:
            return
        root = operand
        if operand.view_of is not None:
            root = operand.view_of
            place = self._places[id(root)]
            place.views -= 1
            if place.readers or place.views:
                return
        if place.held and not root.is_output:
            self.buffers[place.device].give_back(place.start, place.size)
            place.held = False
