"""Attention in a graph: keys and values go into a cache, and queries look at all that it holds.

Source: ggml-org/llama.cpp, build b11434: `src/llama-graph.cpp`, `src/llama-kv-cache.cpp`.
"""

from __future__ import annotations

from modelwidgets.memory import graph as ops
from modelwidgets.memory.graph import Graph, Node
from modelwidgets.memory.kv_cache import (
    layer_cells,
    row_bytes,
    row_padding,
    sequence_cells,
    streams,
    window_cells,
)
from modelwidgets.memory.layout import Layout, RunOptions
from modelwidgets.memory.shape import LayerShape, ModelShape

_HADAMARD = 64
_BYTES_F16 = 2


class Attention:
    """The caches of one batch, and the inputs that say which of their cells are whose."""

    def __init__(self, graph: Graph, shape: ModelShape, layout: Layout, run: RunOptions) -> None:
        self._graph = graph
        self._shape = shape
        self._layout = layout
        self._run = run
        tokens, cache = run.tokens, run.cache
        mask = "f16" if cache.flash_attention else "f32"
        widest = max((one.kv_heads * one.value_length for one in shape.layers), default=0)
        value_ids = tokens if cache.flash_attention else tokens * widest
        self._masks: dict[bool, Node] = {}
        self._key_ids: dict[bool, Node] = {}
        self._value_ids: dict[bool, Node] = {}
        for sliding in (False, True):
            cells = window_cells(shape, cache) if sliding else sequence_cells(cache)
            rows, count = tokens // streams(cache), streams(cache)
            if shape.is_encoder:
                cells, rows, count = tokens, tokens, 1
            self._masks[sliding] = ops.leaf((cells, rows, 1, count), dtype=mask, is_input=True)
            self._key_ids[sliding] = ops.leaf((tokens,), dtype="i64", is_input=True)
            self._value_ids[sliding] = ops.leaf((value_ids,), dtype="i64", is_input=True)
        self._rotations: dict[tuple[bool, int], Node] = {}
        """By kind of cache; 0 stands for values."""

    def attend(
        self,
        q: Node,
        k: Node,
        v: Node,
        nth: int,
        *,
        sinks: Node | None = None,
        decompress: Node | None = None,
    ) -> Node:
        """Store keys and values of layer `nth`, and let the queries look at all that is stored."""
        layer, cache = self._shape.layers[nth], self._run.cache
        if self._shape.is_encoder:
            for one in (q, k, v):
                self._graph.add(one)
            k, v = ops.permute(k, 0, 2, 1, 3), ops.permute(v, 0, 2, 1, 3)
            return self._look(q, k, v, layer, sinks, decompress)
        shared_values = bool(self._shape.mla_key_length)
        rotation = value_rotation = None
        if not shared_values:
            rotation = self._rotation(cache.key_type, layer, is_key=True)
            value_rotation = self._rotation(cache.value_type, layer, is_key=False)
        if rotation is not None:
            q, k = _rotated(q, rotation), _rotated(k, rotation)
        if value_rotation is not None:
            v = _rotated(v, value_rotation)
        for one in (q, v, k):
            self._graph.add(one)
        cells, count = layer_cells(self._shape, layer, cache), streams(cache)
        device = self._layout.layers[nth]
        keys = self._store(k, self._key_ids[layer.sliding], cells, cache.key_type, device)
        if shared_values:
            stored = _stored(keys, layer.key_length, 1, cells, count)
            seen = _stored(keys, v.shape[0], 1, cells, count)
        else:
            values = self._store(v, self._value_ids[layer.sliding], cells, cache.value_type, device)
            stored = _stored(keys, layer.key_length, layer.kv_heads, cells, count)
            if cache.flash_attention:
                seen = _stored(values, layer.value_length, layer.kv_heads, cells, count)
            else:
                seen = _stored(values, cells, layer.kv_heads, layer.value_length, count)
        looked = self._look(q, stored, seen, layer, sinks, decompress)
        return looked if value_rotation is None else _rotated(looked, value_rotation)

    def _rotation(self, kind: str, layer: LayerShape, *, is_key: bool) -> Node | None:
        """Quantized caches store what was mixed by a Hadamard matrix."""
        length = layer.key_length if is_key else layer.value_length
        if kind in ("f16", "f32", "bf16") or length % _HADAMARD:
            return None
        size = _HADAMARD
        while is_key and length % (2 * size) == 0:
            size *= 2
        key = (layer.sliding, size if is_key else 0)
        if key not in self._rotations:
            self._rotations[key] = ops.leaf((size, size), is_input=True)
        return self._rotations[key]

    def _store(self, cur: Node, ids: Node, cells: int, kind: str, device: int) -> Node:
        width, count = cur.shape[0] * cur.shape[1], streams(self._run.cache)
        cache = ops.leaf((width, cells, count), dtype=kind, buffer=device)
        cache.bytes_ = count * cells * row_bytes(kind, width)
        rows = ops.view(cur, width, self._run.tokens, bytes_=cur.bytes_)
        self._graph.add(Node("set_rows", cache.shape, (rows, ids, cache), view_of=cache))
        return cache

    def _look(
        self,
        q: Node,
        k: Node,
        v: Node,
        layer: LayerShape,
        sinks: Node | None,
        decompress: Node | None,
    ) -> Node:
        tokens, count = self._run.tokens, k.shape[3]
        mask = self._masks[layer.sliding]
        extra = () if sinks is None else (sinks,)
        q = ops.permute(ops.view(q, q.shape[0], q.shape[1], tokens // count, count), 0, 2, 1, 3)
        if self._run.cache.flash_attention:
            if k.dtype == "f32":
                k, v = _cast(k), _cast(v)
            shape = (v.shape[0], q.shape[2], q.shape[1], q.shape[3])
            looked = Node("flash_attn", shape, (q, k, v, mask, *extra))
            needed = _converted(k, looked.bytes_)
            if not self._shape.mla_key_length:
                needed = _converted(v, needed)
            looked.extra_bytes = needed - looked.bytes_
            if decompress is not None:
                looked = ops.mul_mat(decompress, ops.permute(looked, 0, 2, 1, 3))
                looked = ops.contiguous(ops.permute(looked, 0, 2, 1, 3))
            looked = ops.reshape(looked, looked.shape[0] * looked.shape[1], tokens)
        else:
            scores = ops.mul_mat(k, q)
            scores = Node("soft_max", scores.shape, (scores, mask, *extra))
            if self._shape.is_encoder or self._shape.mla_key_length:
                v = ops.contiguous(ops.transpose(v))
            looked = ops.mul_mat(v, scores)
            if decompress is not None:
                looked = ops.mul_mat(decompress, looked)
            looked = ops.permute(looked, 0, 2, 1, 3)
            looked = ops.contiguous(looked, looked.shape[0] * looked.shape[1], tokens)
        return self._graph.add(looked)


def _stored(cache: Node, *shape: int) -> Node:
    """A cache as attention reads it; what a GPU copies of one in RAM is padded again."""
    unread = cache.shape[0] - shape[0] * shape[1] if shape[1] == 1 else 0
    seen = cache.bytes_ - row_bytes(cache.dtype, unread)
    node = ops.permute(ops.view(cache, *shape, bytes_=seen), 0, 2, 1, 3)
    node.padding_bytes = row_padding(cache.dtype, shape[0])
    return node


def _rotated(cur: Node, rotation: Node) -> Node:
    size = rotation.shape[0]
    count = cur.shape[0] * cur.shape[1] * cur.shape[2] * cur.shape[3] // size
    flat = (
        ops.reshape(cur, size, count) if cur.strides is None else ops.contiguous(cur, size, count)
    )
    return ops.reshape(ops.mul_mat(rotation, flat), *cur.shape)


def _cast(cur: Node) -> Node:
    return Node("cpy", cur.shape, (cur,), dtype="f16")


def _converted(cache: Node, size: int) -> int:
    """Flash attention reads f16, and converts a layer of another type first."""
    if cache.dtype == "f16":
        return size
    a, b, c, d = cache.shape
    return -(-size // 128) * 128 + a * b * c * d * _BYTES_F16
