"""The tensors of one computation, as far as memory is concerned: sizes, layouts, who reads whom.

llama.cpp builds such a graph for the largest batch it will run and lets GGML lay it out in buffers;
the bytes of those buffers are what a load log calls "compute". Nothing here computes anything.

Source: ggml-org/llama.cpp, build b11434, `ggml/src/ggml.c` (shapes, views, the order in which
`ggml_build_forward_expand` visits).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

Shape = tuple[int, int, int, int]


def named(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


IN_PLACE = named(
    "add add_id sub mul div sqr sqrt log unary rope rms_norm clamp scale soft_max fill"
)
"""Operations whose result may overwrite an operand of the same layout (`ggml_op_can_inplace`)."""
_VIEWS = frozenset(("view", "reshape", "permute", "transpose"))
_BYTES = {"f32": 4, "f16": 2, "bf16": 2, "i32": 4, "i64": 8}


class Node:
    """One tensor: what an operation gives, or a leaf."""

    __slots__ = (
        "buffer",
        "bytes_",
        "dtype",
        "extra_bytes",
        "is_input",
        "is_output",
        "is_view_op",
        "op",
        "padding_bytes",
        "rows",
        "shape",
        "sources",
        "strides",
        "view_of",
        "weight",
    )

    def __init__(
        self,
        op: str,
        shape: Iterable[int],
        sources: tuple[Node, ...] = (),
        *,
        dtype: str = "f32",
        view_of: Node | None = None,
        strides: tuple[int, ...] | None = None,
    ) -> None:
        ne = tuple(shape)
        self.op = op
        self.shape: Shape = (*ne, 1, 1, 1)[:4]  # type: ignore[assignment]
        self.sources = sources
        self.dtype = dtype
        self.view_of: Node | None = view_of
        if view_of is not None and view_of.view_of is not None:
            self.view_of = view_of.view_of
        self.strides = strides
        """None: contiguous."""
        self.is_view_op = op in _VIEWS
        self.is_input = False
        self.is_output = False
        """Read after the computation, so its place is never given back."""
        self.weight = False
        self.buffer: int | None = None
        """The device of a weight or cache, whose memory is not part of the graph."""
        self.bytes_ = math.prod(self.shape) * _BYTES.get(dtype, 0)
        self.padding_bytes = 0
        """What a GPU adds to the rows of a quantized tensor."""
        self.extra_bytes = 0
        """What a GPU adds to a result for its own work."""
        self.rows = self._batch()

    def _batch(self) -> int:
        """Rows that count when a device decides whether an operation is worth the transfer."""
        if self.op == "get_rows":
            return 0
        if self.op == "mul_mat":
            return self.shape[1]
        if self.op in ("mul_mat_id", "rope"):
            return self.shape[2]
        return self.shape[1] * self.shape[2] * self.shape[3]

    @property
    def layout(self) -> tuple[str, Shape, tuple[int, ...] | None]:
        return (self.dtype, self.shape, self.strides)


class Graph:
    """Operations in the order in which they will run, and the leaves they start from."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.leaves: list[Node] = []
        self._seen: set[int] = set()

    def add(self, node: Node) -> Node:
        """Append `node` after everything it needs, each once."""
        seen = self._seen
        if id(node) in seen:
            return node
        stack: list[tuple[Node, int]] = [(node, 0)]
        seen.add(id(node))
        while stack:
            at, nth = stack.pop()
            sources = at.sources
            while nth < len(sources) and id(sources[nth]) in seen:
                nth += 1
            if nth < len(sources):
                stack.append((at, nth + 1))
                seen.add(id(sources[nth]))
                stack.append((sources[nth], 0))
            elif at.op == "leaf":
                self.leaves.append(at)
            else:
                self.nodes.append(at)
        return node


def leaf(
    shape: Iterable[int], *, dtype: str = "f32", is_input: bool = False, buffer: int | None = None
) -> Node:
    """A tensor that no operation gives."""
    node = Node("leaf", shape, dtype=dtype)
    node.is_input = is_input
    node.buffer = buffer
    return node


def weight(shape: Iterable[int], bytes_: int, padding_bytes: int, buffer: int) -> Node:
    """A tensor of the model, which lies on the device `buffer`."""
    node = Node("leaf", shape, dtype="weight")
    node.bytes_ = bytes_
    node.padding_bytes = padding_bytes
    node.buffer = buffer
    node.weight = True
    return node


def mul_mat(a: Node, b: Node) -> Node:
    return Node("mul_mat", (a.shape[1], *b.shape[1:]), (a, b))


def mul_mat_id(experts: Node, b: Node, chosen: Node) -> Node:
    """Each token through the experts chosen for it."""
    shape = (experts.shape[1], chosen.shape[0], b.shape[2])
    return Node("mul_mat_id", shape, (experts, b, chosen))


def unary(a: Node, op: str = "unary") -> Node:
    """An operation on each element, such as `unary`, `scale`, `clamp` or `soft_max`."""
    return Node(op, a.shape, (a,), dtype=a.dtype)


def combine(op: str, a: Node, b: Node, *others: Node) -> Node:
    """`add`, `mul`... with the shape of the first operand."""
    return Node(op, a.shape, (a, b, *others), dtype=a.dtype)


def norm(a: Node, op: str = "rms_norm") -> Node:
    return Node(op, a.shape, (a,))


def glu(gate: Node, up: Node | None = None) -> Node:
    """A gated activation; with one operand its halves are gate and up."""
    if up is None:
        return Node("glu", (gate.shape[0] // 2, *gate.shape[1:]), (gate,))
    return Node("glu", gate.shape, (gate, up))


def get_rows(a: Node, ids: Node) -> Node:
    return Node("get_rows", (a.shape[0], *ids.shape[:3]), (a, ids))


def reshape(a: Node, *shape: int) -> Node:
    return Node("reshape", shape, (a,), dtype=a.dtype, view_of=a)


def view(a: Node, *shape: int, bytes_: int | None = None) -> Node:
    """A part of `a`, whose layout is like no other; `bytes_` from its first to its last element."""
    node = Node("view", shape, (a,), dtype=a.dtype, view_of=a, strides=(-1,))
    node.bytes_ = min(node.bytes_, a.bytes_) if bytes_ is None else bytes_
    return node


def permute(a: Node, *axes: int) -> Node:
    """The axes in another order; `axes[i]` is where axis `i` goes."""
    shape = [1, 1, 1, 1]
    for axis, to in enumerate(axes):
        shape[to] = a.shape[axis]
    moved = any(axis != to and a.shape[axis] > 1 for axis, to in enumerate(axes))
    strides = (-2, *axes) if moved else a.strides
    node = Node("permute", shape, (a,), dtype=a.dtype, view_of=a, strides=strides)
    node.bytes_ = a.bytes_
    return node


def transpose(a: Node) -> Node:
    """The first two axes in the other order."""
    shape = (a.shape[1], a.shape[0], *a.shape[2:])
    return Node("transpose", shape, (a,), dtype=a.dtype, view_of=a, strides=(-3,))


def contiguous(a: Node, *shape: int) -> Node:
    return Node("cont", shape or a.shape, (a,), dtype=a.dtype)
