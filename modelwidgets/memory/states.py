"""The states that recurrent layers keep for each sequence, read and written within a graph.

Source: ggml-org/llama.cpp, build b11434: `src/llama-graph.cpp`, `src/llama-memory-recurrent.cpp`.
"""

from __future__ import annotations

from collections.abc import Callable

from modelwidgets.memory import graph as ops
from modelwidgets.memory.graph import Graph, Node
from modelwidgets.memory.kv_cache import convolution_elements, state_elements
from modelwidgets.memory.layout import Layout, RunOptions
from modelwidgets.memory.shape import ModelShape


class States:
    """The states of one batch, and the input that says whose they are."""

    def __init__(self, graph: Graph, shape: ModelShape, layout: Layout, run: RunOptions) -> None:
        self._graph = graph
        self._shape = shape
        self._layout = layout
        self._sequences = run.cache.sequences
        self._ids = ops.leaf((self._sequences,), dtype="i32", is_input=True)
        self._first_ids = ops.view(self._ids, self._sequences)

    def of(self, nth: int, *, convolution: bool) -> tuple[Node, Node]:
        """The stored states of a layer, and those of the sequences in this batch."""
        store, rows = self._stored(nth, convolution=convolution)
        gathered = ops.get_rows(rows, self._ids)
        current = self._graph.add(ops.view(gathered, store.shape[0], self._sequences))
        self._keep_others(store, gathered)
        return store, current

    def scanned(self, nth: int, scan: Callable[[Node, Node], Node]) -> tuple[Node, Node]:
        """The stored states, and what an operation gives that picks its own among them."""
        store, rows = self._stored(nth, convolution=False)
        scanned = self._graph.add(scan(rows, self._first_ids))
        others = ops.view(self._ids, self._sequences - 1)
        self._keep_others(store, ops.get_rows(rows, others))
        return store, scanned

    def keep(self, store: Node, states: Node) -> None:
        """What a layer leaves for the next batch."""
        where = ops.view(store, *store.shape[:2])
        self._graph.add(Node("cpy", states.shape, (states, where), view_of=store))

    def _stored(self, nth: int, *, convolution: bool) -> tuple[Node, Node]:
        count = convolution_elements if convolution else state_elements
        elements = count(self._shape, self._shape.layers[nth])
        store = ops.leaf((elements, self._sequences), buffer=self._layout.layers[nth])
        rows = ops.reshape(store, elements, self._sequences)
        zero = ops.view(rows, elements)
        self._graph.add(Node("scale", zero.shape, (zero,), view_of=store))
        return store, rows

    def _keep_others(self, store: Node, gathered: Node) -> None:
        """States of sequences that this batch does not touch stay as they are."""
        elements = store.shape[0]
        unchanged, there = ops.view(gathered, elements, 0), ops.view(store, elements, 0)
        self._graph.add(Node("cpy", unchanged.shape, (unchanged, there), view_of=store))
