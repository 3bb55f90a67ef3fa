"""The graph that llama.cpp builds to compute one batch, made of the tensors a model has.

Most architectures are one transformer block with options, and which options shows in the names of
the tensors: a norm after the attention, biases, experts. What differs more is in `families.py`.

Source: ggml-org/llama.cpp, build b11434: `src/llama-graph.cpp`, `src/models/*.cpp`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modelwidgets.memory import graph as ops
from modelwidgets.memory.graph import Graph, Node, named
from modelwidgets.memory.kv_cache import (
    convolution_elements,
    layer_cells,
    row_bytes,
    row_padding,
    sequence_cells,
    state_elements,
    streams,
    window_cells,
)
from modelwidgets.memory.layout import Layout, RunOptions
from modelwidgets.memory.shape import LayerShape, ModelShape
from modelwidgets.memory.weights import ModelWeights, Weight

_LAYER_NORM = named(
    "falcon gptneox gpt2 gptj starcoder starcoder2 codeshell bloom mpt stablelm phi2 phimoe orion"
    " command-r cohere2 cohere2moe nemotron olmo dbrx jais bert nomic-bert nomic-bert-moe"
    " jina-bert-v2 jina-bert-v3 modern-bert"
)
"""They subtract the mean too, and GGML cannot do that in place."""
_SCALED_TOKENS = frozenset(("gemma3", "gemma3n", "gemma4", "gemma-embedding"))
"""Vectors of pictures are not scaled, so each token has a factor of its own."""
_SCALED_INPUT = frozenset(("gemma", "gemma2", "afmoe", "minicpm3"))
_SCALED_QUERIES = frozenset(("gemma", "gemma2", "gemma3", "gemma-embedding", "phi2", "phi3"))
_ROTATES_SLIDING = frozenset(("cohere2", "cohere2moe", "exaone4", "exaone-moe"))
_ROTATES_THREE_OF_FOUR = frozenset(("smollm3", "llama4"))
_NO_POSITIONS = named("bloom mpt gpt2 starcoder jais nemotron_h nemotron_h_moe jamba")
_ROTATING_BAICHUAN = 32
"""Layers of the smaller one; the larger knows positions by its masks."""
_NO_MIXED_BATCH = frozenset(("cogvlm",))
_SOFTMAX_OF_CHOSEN = 3
_SIGMOID = 2
_HADAMARD = 64
_BYTES_F16 = 2


class BatchGraph:
    """Builds the graph of one batch; `layers` picks some, where the others would add nothing."""

    def __init__(
        self, shape: ModelShape, weights: ModelWeights, layout: Layout, run: RunOptions
    ) -> None:
        self.shape = shape
        self.layout = layout
        self.run = run
        self.tokens = run.tokens
        self.graph = Graph()
        self._weights = weights
        self._shared: dict[tuple[str, int], Node] = {}
        self.norm_op = "norm" if shape.architecture in _LAYER_NORM else "rms_norm"
        self._inputs()

    def _inputs(self) -> None:
        run, tokens, cache = self.run, self.tokens, self.run.cache
        self.positions = ops.leaf((tokens,), dtype="i32", is_input=True)
        self.output_ids = ops.leaf((run.outputs,), dtype="i32", is_input=True)
        mask = "f16" if cache.flash_attention else "f32"
        widest = max((one.kv_heads * one.value_length for one in self.shape.layers), default=0)
        value_ids = tokens if cache.flash_attention else tokens * widest
        self._masks: dict[bool, Node] = {}
        self._key_ids: dict[bool, Node] = {}
        self._value_ids: dict[bool, Node] = {}
        for sliding in (False, True):
            cells = window_cells(self.shape, cache) if sliding else sequence_cells(cache)
            rows = tokens // streams(cache)
            if self.shape.is_encoder:
                cells, rows = tokens, tokens
            count = 1 if self.shape.is_encoder else streams(cache)
            self._masks[sliding] = ops.leaf((cells, rows, 1, count), dtype=mask, is_input=True)
            self._key_ids[sliding] = ops.leaf((tokens,), dtype="i64", is_input=True)
            self._value_ids[sliding] = ops.leaf((value_ids,), dtype="i64", is_input=True)
        self._rotations: dict[tuple[bool, int], Node] = {}
        """By kind of cache; 0 stands for values."""
        self.state_ids = ops.leaf((cache.sequences,), dtype="i32", is_input=True)
        self.first_states = ops.view(self.state_ids, cache.sequences)

    # Weights and caches

    def weight(self, nth: int, name: str) -> Node | None:
        """A tensor of layer `nth`, where the model has it."""
        layer = self._weights.layers[nth]
        found = layer.get(name) or layer.get(name.removesuffix(".weight"))
        if found is None:
            return None
        return _node(found, self.layout.device(nth, name))

    def _need(self, nth: int, name: str) -> Node:
        found = self.weight(nth, name)
        if found is None:
            raise UnknownGraphError(f"blk.{nth}.{name}")
        return found

    def need(self, nth: int, *names: str) -> Node:
        """The first of these tensors that the model has."""
        for name in names[:-1]:
            found = self.weight(nth, name)
            if found is not None:
                return found
        return self._need(nth, names[-1])

    def input_weight(self, name: str) -> Node | None:
        """A tensor of the input, which lies in RAM."""
        found = self._weights.input.get(name)
        return None if found is None else _node(found, self.layout.ram)

    def input_norm(self, cur: Node) -> Node:
        """The norm of what enters, where the model has one."""
        scale = self.weight(0, "token_embd_norm.weight")
        bias = self.weight(0, "token_embd_norm.bias")
        if scale is not None:
            cur = ops.combine("mul", ops.norm(cur, self.norm_op), scale)
        return cur if bias is None else ops.combine("add", cur, bias)

    def finish(self, cur: Node) -> Graph:
        """The graph up to its result."""
        cur.is_output = True
        self.graph.add(cur)
        return self.graph

    def outer(self, name: str) -> Node | None:
        """A tensor of the output."""
        found = self._weights.output.get(name)
        return None if found is None else _node(found, self.layout.output)

    def _rotation_factors(self, nth: int) -> tuple[Node, ...]:
        device = self.layout.layers[nth]
        for name, found in self._weights.shared.items():
            if name in ("rope_freqs.weight", "rope_factors_short.weight"):
                key = (name, device)
                if key not in self._shared:
                    self._shared[key] = _node(found, device)
                return (self._shared[key],)
        return ()

    # Steps

    def embedding(self) -> Node:
        """What enters the first layer: of tokens, of vectors, or of both in one batch."""
        size, tokens = self.shape.embedding_length, self.tokens
        found = self._weights.input.get("token_embd.weight")
        if found is None:
            raise UnknownGraphError("token_embd.weight")
        table = _node(found, self.layout.ram)
        cur = ops.get_rows(table, ops.leaf((tokens,), dtype="i32", is_input=True))
        self.graph.add(cur)
        self.graph.add(ops.leaf((size, tokens), is_input=True))
        if self.shape.architecture not in _NO_MIXED_BATCH:
            ids = ops.leaf((tokens,), dtype="i32", is_input=True)
            slots = ops.leaf((tokens,), dtype="i64", is_input=True)
            vectors = ops.unary(ops.leaf((size, tokens), is_input=True), "dup")
            rows = ops.get_rows(table, ids)
            mixed = Node("set_rows", vectors.shape, (rows, slots, vectors), view_of=vectors)
            self.graph.add(mixed)
        if self.shape.architecture in _SCALED_TOKENS:
            cur = ops.combine("mul", cur, ops.leaf((1, tokens), is_input=True))
        self.graph.add(cur)
        if self.shape.scaled_input or self.shape.architecture in _SCALED_INPUT:
            cur = self.graph.add(ops.unary(cur, "scale"))
        return cur

    def normed(self, cur: Node, nth: int, name: str) -> Node:
        """A norm with the weights `name`, where the model has them."""
        scale = self.weight(nth, f"{name}.weight")
        if scale is None:
            return cur
        cur = ops.combine("mul", ops.norm(cur, self.norm_op), scale)
        bias = self.weight(nth, f"{name}.bias")
        return cur if bias is None else ops.combine("add", cur, bias)

    def linear(self, cur: Node, nth: int, name: str) -> Node:
        """A product with the weights `name`, and its bias where there is one."""
        cur = ops.mul_mat(self._need(nth, f"{name}.weight"), cur)
        bias = self.weight(nth, f"{name}.bias")
        return cur if bias is None else ops.combine("add", cur, bias)

    def rope(self, cur: Node, nth: int) -> Node:
        sources = (cur, self.positions, *self._rotation_factors(nth))
        return Node("rope", cur.shape, sources)

    def heads(self, cur: Node, nth: int, layer: LayerShape) -> tuple[Node, Node, Node]:
        """Queries, keys and values by head."""
        tokens = self.tokens
        sizes = (
            (layer.key_length, layer.heads),
            (layer.key_length, layer.kv_heads),
            (layer.value_length, layer.kv_heads),
        )
        if self.weight(nth, "attn_qkv.weight") is not None:
            fused = self.linear(cur, nth, "attn_qkv")
            skipped = fused.bytes_ // tokens * (tokens - 1)
            q, k, v = (
                ops.view(fused, size, count, tokens, bytes_=skipped + 4 * size * count)
                for size, count in sizes
            )
            return q, k, v
        q, k = self.linear(cur, nth, "attn_q"), self.linear(cur, nth, "attn_k")
        keys_are_values = self.weight(nth, "attn_v.weight") is None
        v = k if keys_are_values else self.linear(cur, nth, "attn_v")
        if self._norms_whole_rows(nth, layer):
            q, k = self.normed(q, nth, "attn_q_norm"), self.normed(k, nth, "attn_k_norm")
        q, k, v = (
            ops.reshape(one, size, count, tokens)
            for one, (size, count) in zip((q, k, v), sizes, strict=True)
        )
        return q, k, v

    def _norms_whole_rows(self, nth: int, layer: LayerShape) -> bool:
        found = self._weights.layers[nth].get("attn_q_norm.weight")
        return found is not None and found.shape[0] != layer.key_length

    def self_attention(self, cur: Node, nth: int, layer: LayerShape) -> Node:
        """Attention as most models have it, up to the product with its output weights."""
        q, k, v = self.heads(cur, nth, layer)
        if not self._norms_whole_rows(nth, layer):
            q, k = self.normed(q, nth, "attn_q_norm"), self.normed(k, nth, "attn_k_norm")
        if self.shape.architecture == "gemma4":
            v = ops.norm(v)
        if self._rotates(nth, layer):
            q, k = self.rope(q, nth), self.rope(k, nth)
        if self.shape.architecture in _SCALED_QUERIES:
            q = ops.unary(q, "scale")
        cur = self.attend(q, k, v, nth, layer)
        return self.linear(cur, nth, "attn_output")

    def _rotates(self, nth: int, layer: LayerShape) -> bool:
        """Some models leave out the positions in some layers."""
        architecture = self.shape.architecture
        if architecture in _NO_POSITIONS:
            return False
        if architecture == "baichuan":
            return self.shape.layer_count == _ROTATING_BAICHUAN
        if architecture in _ROTATES_SLIDING:
            return layer.sliding or not self.shape.window
        return architecture not in _ROTATES_THREE_OF_FOUR or (nth + 1) % 4 != 0

    def attend(
        self,
        q: Node,
        k: Node,
        v: Node,
        nth: int,
        layer: LayerShape,
        *,
        decompress: Node | None = None,
    ) -> Node:
        """Store keys and values, and let the queries look at all that is stored."""
        if self.shape.is_encoder:
            for one in (q, k, v):
                self.graph.add(one)
            return self._look(q, k, v, nth, layer, None)
        cache = self.run.cache
        shared_values = bool(self.shape.mla_key_length)
        rotation = self._rotation(cache.key_type, layer, is_key=True)
        if rotation is not None and not shared_values:
            q, k = _rotated(q, rotation), _rotated(k, rotation)
        value_rotation = self._rotation(cache.value_type, layer, is_key=False)
        if value_rotation is not None and not shared_values:
            v = _rotated(v, value_rotation)
        for one in (q, v, k):
            self.graph.add(one)
        sliding, device = layer.sliding, self.layout.layers[nth]
        cells = layer_cells(self.shape, layer, cache)
        keys = self._store(k, self._key_ids[sliding], cells, cache.key_type, device)
        if shared_values:
            count = streams(cache)
            stored = _stored(keys, layer.key_length, 1, cells, count)
            values = _stored(keys, v.shape[0], 1, cells, count)
            looked = self._look(q, stored, values, nth, layer, decompress)
        else:
            values = self._store(v, self._value_ids[sliding], cells, cache.value_type, device)
            count = streams(cache)
            stored = _stored(keys, layer.key_length, layer.kv_heads, cells, count)
            if cache.flash_attention:
                seen = _stored(values, layer.value_length, layer.kv_heads, cells, count)
            else:
                seen = _stored(values, cells, layer.kv_heads, layer.value_length, count)
            looked = self._look(q, stored, seen, nth, layer, None)
        if value_rotation is not None and not shared_values:
            looked = _rotated(looked, value_rotation)
        return looked

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
        width, count = cur.shape[0] * cur.shape[1], streams(self.run.cache)
        cache = ops.leaf((width, cells, count), dtype=kind, buffer=device)
        cache.bytes_ = count * cells * row_bytes(kind, width)
        rows = ops.view(cur, width, self.tokens, bytes_=cur.bytes_)
        self.graph.add(Node("set_rows", cache.shape, (rows, ids, cache), view_of=cache))
        return cache

    def _look(
        self, q: Node, k: Node, v: Node, nth: int, layer: LayerShape, decompress: Node | None
    ) -> Node:
        tokens, count = self.tokens, k.shape[3]
        mask = self._masks[layer.sliding]
        sinks = self.weight(nth, "attn_sinks.weight")
        extra = () if sinks is None else (sinks,)
        q = ops.permute(ops.view(q, q.shape[0], q.shape[1], tokens // count, count), 0, 2, 1, 3)
        if self.shape.is_encoder:
            k, v = ops.permute(k, 0, 2, 1, 3), ops.permute(v, 0, 2, 1, 3)
        if self.run.cache.flash_attention:
            if k.dtype == "f32":
                k, v = _cast(k), _cast(v)
            looked = Node(
                "flash_attn",
                (v.shape[0], q.shape[2], q.shape[1], q.shape[3]),
                (q, k, v, mask, *extra),
            )
            looked.extra_bytes = _converted(k, looked.bytes_) - looked.bytes_
            if not self.shape.mla_key_length:
                looked.extra_bytes = (
                    _converted(v, looked.bytes_ + looked.extra_bytes) - looked.bytes_
                )
            if decompress is not None:
                looked = ops.mul_mat(decompress, ops.permute(looked, 0, 2, 1, 3))
                looked = ops.contiguous(ops.permute(looked, 0, 2, 1, 3))
            looked = ops.reshape(looked, looked.shape[0] * looked.shape[1], tokens)
        else:
            scores = ops.mul_mat(k, q)
            scores = Node("soft_max", scores.shape, (scores, mask, *extra))
            if self.shape.is_encoder or self.shape.mla_key_length:
                turned = Node(
                    "transpose",
                    (v.shape[1], v.shape[0], *v.shape[2:]),
                    (v,),
                    dtype=v.dtype,
                    view_of=v,
                    strides=(-3,),
                )
                v = ops.contiguous(turned)
            looked = ops.mul_mat(v, scores)
            if decompress is not None:
                looked = ops.mul_mat(decompress, looked)
            looked = ops.permute(looked, 0, 2, 1, 3)
            looked = ops.contiguous(looked, looked.shape[0] * looked.shape[1], tokens)
        return self.graph.add(looked)

    def feed_forward(self, cur: Node, nth: int, suffix: str = "") -> Node:
        """The dense part of a layer; without a gate its first product may hold both halves."""
        gate = self.weight(nth, f"ffn_gate{suffix}.weight")
        up = self.linear(cur, nth, f"ffn_up{suffix}")
        if gate is not None:
            cur = ops.glu(self.linear(cur, nth, f"ffn_gate{suffix}"), up)
        elif up.shape[0] == 2 * self._need(nth, f"ffn_down{suffix}.weight").shape[0]:
            cur = ops.glu(up)
        else:
            cur = ops.unary(up)
        return self.linear(cur, nth, f"ffn_down{suffix}")

    def experts(self, cur: Node, nth: int) -> Node:
        """Each token through the experts that a small product chooses for it."""
        shape, tokens, size = self.shape, self.tokens, cur.shape[0]
        tokens = cur.shape[1]
        used = max(shape.layers[nth].experts_used, 1)
        logits = self.linear(cur, nth, "ffn_gate_inp")
        gating = shape.gating
        if gating == _SOFTMAX_OF_CHOSEN or shape.architecture == "gpt-oss":
            probabilities = logits
        else:
            probabilities = ops.unary(logits, "unary" if gating == _SIGMOID else "soft_max")
        wanted = probabilities
        bias = self.weight(nth, "exp_probs_b.bias")
        if bias is not None:
            wanted = ops.combine("add", probabilities, bias)
        order = Node("argsort", wanted.shape, (wanted,), dtype="i32")
        chosen = ops.view(order, used, tokens)
        by_expert = ops.reshape(probabilities, 1, shape.expert_count, tokens)
        weights = ops.reshape(ops.get_rows(by_expert, chosen), used, tokens)
        sums = ops.unary(Node("sum_rows", (1, tokens), (weights,)), "clamp")
        weights = ops.reshape(ops.combine("div", weights, sums), 1, used, tokens)
        self.graph.add(weights)
        cur = ops.reshape(cur, size, 1, tokens)
        if shape.architecture == "llama4":
            repeated = Node("repeat", (size, used, tokens), (cur,))
            cur = ops.combine("mul", repeated, weights)
        fused = self.weight(nth, "ffn_gate_up_exps.weight")
        if fused is not None:
            both = ops.mul_mat_id(fused, cur, chosen)
            half = both.shape[0] // 2
            cur = ops.glu(ops.view(both, half, used, tokens), ops.view(both, half, used, tokens))
        else:
            up = self._by_expert(cur, nth, "ffn_up_exps", chosen)
            if self.weight(nth, "ffn_gate_exps.weight") is not None:
                cur = ops.glu(self._by_expert(cur, nth, "ffn_gate_exps", chosen), up)
            else:
                cur = ops.unary(up)
        outs = self._by_expert(cur, nth, "ffn_down_exps", chosen)
        if shape.architecture != "llama4":
            outs = ops.combine("mul", outs, weights)
        self.graph.add(outs)
        parts = [self.graph.add(ops.view(outs, size, tokens)) for _ in range(used)]
        total = parts[0]
        for part in parts[1:]:
            total = self.graph.add(ops.combine("add", total, part))
        return ops.contiguous(total) if used == 1 else total

    def _by_expert(self, cur: Node, nth: int, name: str, chosen: Node) -> Node:
        cur = ops.mul_mat_id(self._need(nth, f"{name}.weight"), cur, chosen)
        bias = self.weight(nth, f"{name}.bias")
        return cur if bias is None else ops.combine("add_id", cur, bias, chosen)

    def mixture(self, cur: Node, nth: int) -> Node:
        """Experts, and the expert that every token passes where there is one."""
        total = self.experts(cur, nth)
        if self.weight(nth, "ffn_up_shexp.weight") is None:
            return total
        shared = self.feed_forward(cur, nth, "_shexp")
        gate = self.weight(nth, "ffn_gate_inp_shexp.weight")
        if gate is not None:
            shared = ops.combine("mul", shared, ops.unary(ops.mul_mat(gate, cur)))
        return ops.combine("add", total, shared)

    def chosen_rows(self, *rows: Node) -> Sequence[Node]:
        """In the last layer only the tokens that logits are wanted for go on."""
        return [ops.get_rows(one, self.output_ids) for one in rows]

    def head(self, cur: Node, *, picks_rows: bool = False) -> Graph:
        """The last norm and the logits; some drop the tokens without logits between the two."""
        for name in ("output_norm", "token_embd_norm"):
            scale = self.outer(f"{name}.weight")
            if scale is not None:
                cur = ops.combine("mul", ops.norm(cur, self.norm_op), scale)
                bias = self.outer(f"{name}.bias")
                if bias is not None:
                    cur = ops.combine("add", cur, bias)
        if picks_rows:
            (cur,) = self.chosen_rows(cur)
        cur.is_output = True
        table = self.outer("output.weight")
        if table is not None:
            cur = ops.mul_mat(table, cur)
            bias = self.outer("output.bias")
            if bias is not None:
                cur = ops.combine("add", cur, bias)
            cur.is_output = True
        self.graph.add(cur)
        return self.graph

    # States of recurrent layers

    def state(self, nth: int, layer: LayerShape, *, convolution: bool) -> tuple[Node, Node]:
        """The stored states of a recurrent layer, and those of the sequences in this batch."""
        store, rows = self._states(nth, layer, convolution=convolution)
        gathered = ops.get_rows(rows, self.state_ids)
        current = self.graph.add(ops.view(gathered, store.shape[0], self.run.cache.sequences))
        self._keep_others(store, gathered)
        return store, current

    def scan_states(
        self, nth: int, layer: LayerShape, scan: Callable[[Node, Node], Node]
    ) -> tuple[Node, Node]:
        """The stored states, and what an operation gives that picks its own among them."""
        store, rows = self._states(nth, layer, convolution=False)
        scanned = self.graph.add(scan(rows, self.first_states))
        others = ops.view(self.state_ids, self.run.cache.sequences - 1)
        self._keep_others(store, ops.get_rows(rows, others))
        return store, scanned

    def _states(self, nth: int, layer: LayerShape, *, convolution: bool) -> tuple[Node, Node]:
        elements = (convolution_elements if convolution else state_elements)(self.shape, layer)
        sequences = self.run.cache.sequences
        store = ops.leaf((elements, sequences), buffer=self.layout.layers[nth])
        rows = ops.reshape(store, elements, sequences)
        zero = ops.view(rows, elements)
        self.graph.add(Node("scale", zero.shape, (zero,), view_of=store))
        return store, rows

    def _keep_others(self, store: Node, gathered: Node) -> None:
        """States of sequences that this batch does not touch stay as they are."""
        elements = store.shape[0]
        unchanged, there = ops.view(gathered, elements, 0), ops.view(store, elements, 0)
        self.graph.add(Node("cpy", unchanged.shape, (unchanged, there), view_of=store))

    def copy_into(self, store: Node, states: Node) -> None:
        """Keep what a layer leaves for the next batch."""
        where = ops.view(store, *store.shape[:2])
        self.graph.add(Node("cpy", states.shape, (states, where), view_of=store))


class UnknownGraphError(Exception):
    """A tensor is missing without which no graph of this kind can be drawn."""


def _node(found: Weight, device: int) -> Node:
    return ops.weight(found.shape, found.bytes_, found.padding_bytes, device)


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
