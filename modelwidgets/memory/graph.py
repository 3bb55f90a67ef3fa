"""The tensors of one computation, as far as memory is concerned: sizes, layouts, who reads whom.

llama.cpp builds such a graph for the largest batch it will run and lets GGML lay it out in buffers;
the bytes of those buffers are what a load log calls "compute". Nothing here computes anything.

Source: ggml-org/llama.cpp, build b11434, `ggml/src/ggml.c` (shapes, views, the order in which
`ggml_build_forward_expand` visits).
"""

from __future__ import annotations

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
    """One tensor: what an operation gives, or a leaf.

    What few nodes have stands on the class, because a graph has thousands of nodes.
    """

    is_input = False
    is_output = False
    """Read after the computation, so its place is never given back."""
    weight = False
    buffer: int | None = None
    """The device of a weight or cache, whose memory is not part of the graph."""
    padding_bytes = 0
    """What a GPU adds to the rows of a quantized tensor."""
    extra_bytes = 0
    """What a GPU adds to a result for its own work."""
    view_of: Node | None = None
    is_view_op = False
    strides: tuple[int, ...] | None = None
    """None: contiguous."""
    seen = False
    """It is in its graph."""
    on: int | None = None
    """The device that a scheduler chose for it."""
    slot = 0
    """Its number among the tensors there."""
    held = False
    """It has a place."""
    readers = 0
    """Who still needs it."""

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
        self.op = op
        self.shape: Shape = (*shape, 1, 1, 1, 1)[:4]  # type: ignore[assignment]
        self.sources = sources
        self.dtype = dtype
        if view_of is not None:
            self.view_of = view_of if view_of.view_of is None else view_of.view_of
            self.is_view_op = op in _VIEWS
        if strides is not None:
            self.strides = strides
        a, b, c, d = self.shape
        self.bytes_ = a * b * c * d * _BYTES.get(dtype, 0)

    @property
    def rows(self) -> int:
        """Rows that count when a device decides whether an operation is worth the transfer."""
        if self.op == "get_rows":
            return 0
        if self.op == "mul_mat":
            return self.shape[1]
        if self.op in ("mul_mat_id", "rope"):
            return self.shape[2]
        return self.shape[1] * self.shape[2] * self.shape[3]

    @property
    def root(self) -> Node:
        """What holds its bytes."""
        return self if self.view_of is None else self.view_of

    def is_laid_out_like(self, other: Node) -> bool:
        return (
            self.shape == other.shape
            and self.dtype == other.dtype
            and self.strides == other.strides
        )


class Graph:
    """Operations in the order in which they will run, and the leaves they start from."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.leaves: list[Node] = []

    def add(self, node: Node) -> Node:
        """Append `node` after everything it needs, each once."""
        if node.seen:
            return node
        node.seen = True
        stack = [(node, iter(node.sources))]
        while stack:
            at, sources = stack[-1]
            for source in sources:
                if source.seen:
                    continue
                source.seen = True
                if source.sources:
                    stack.append((source, iter(source.sources)))
                    break
                self._append(source)
            else:
                self._append(at)
                stack.pop()
        return node

    def _append(self, node: Node) -> None:
        (self.leaves if node.op == "leaf" else self.nodes).append(node)


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
